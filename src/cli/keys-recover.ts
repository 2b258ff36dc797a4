import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import type { RecoveryReport } from '../keys/recovery.ts';
import { call } from './admin-calls.ts';
import { command } from './command.ts';
import { flag } from './option.ts';
import { column, moment, orDash } from './print/printer.ts';

export const keysRecoverCommand = command({
  name: 'keys recover',
  summary: 'Go on with a new key when the one that signs is lost for good.',
  description:
    'The public half of the lost key stays published until its last token has run out. Look for a copy first: keys import puts it back, and nobody notices. Refused while a key can sign.',
  options: {
    new: flag('--new', 'make a new key that signs at once (needed)'),
    yes: flag('--yes', 'do not ask'),
  },
  examples: ['authserver keys recover --new', 'authserver keys recover --new --yes'],
  async run(context, input) {
    if (!input.new) {
      throw new Failure('invalid_input', 'What to do about the lost key is missing.', {
        hint: 'With a copy of it: authserver keys import FILE. Without one: authserver keys recover --new',
      });
    }
    if (!input.yes) {
      await context.confirm(
        'Make a new signing key now? Nothing will ever be signed with the lost one again.',
      );
    }
    const { printer } = context;
    const report = await call<RecoveryReport>(context, 'POST', ['keys', 'recover']);
    printer.record(report, 'A new key signs.', [
      column('key id', ({ successor }) => successor.kid),
      column('lost', ({ lost }) => orDash(lost)),
      column('its tokens verify until', ({ verifies_until }) => moment(verifies_until)),
      column('withdrawn', ({ withdrawn }) => orDash(withdrawn.join(' '))),
    ]);
    const wait = formatDuration(report.jwks_max_age);
    printer.next(
      report.lost === null
        ? 'The database held no key: tokens that were issued before do not verify.'
        : 'Still works: tokens of the lost key, until then; sessions and refresh tokens.',
    );
    printer.next(
      `Does not work: clients with a cached JWK set reject tokens of the new key until they fetch it again, up to ${wait}.`,
    );
    printer.next('A server that could not start for want of the key can start now.');
  },
});
