import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import type { ImportReport } from '../keys/import.ts';
import type { KeyStatus } from '../keys/keyring.ts';
import type { RecoveryReport } from '../keys/recovery.ts';
import { call } from './admin-calls.ts';
import { type CliContext, command } from './command.ts';
import { flag, text } from './option.ts';
import { column, moment, orDash } from './print/printer.ts';

export const keysRecoverCommand = command({
  name: 'keys recover',
  summary: 'Get lost keys back from a backup, or go on with a new one when they are lost for good.',
  description:
    'Look for a copy first: --from-backup puts back what a backup holds, `keys import` what lies elsewhere, and nobody notices. With --new the public half of the lost key stays published until its last token has run out; that is refused while a key can sign.',
  options: {
    from_backup: text(
      '--from-backup <backup>',
      'put back the private keys of this backup: an id, the path of an archive, or latest',
    ),
    recovery_key: text('--recovery-key <file>', 'the recovery sheet (or AUTHSERVER_RECOVERY_KEY_FILE)'),
    new: flag('--new', 'make a new key that signs at once'),
    yes: flag('--yes', 'do not ask'),
  },
  examples: [
    'authserver keys recover --from-backup latest --recovery-key recovery-sheet.txt',
    'authserver keys recover --new',
    'authserver keys recover --new --yes',
  ],
  async run(context, input) {
    if (input.new && input.from_backup !== undefined) {
      throw new Failure('invalid_input', '--new and --from-backup exclude each other.');
    }
    if (input.from_backup !== undefined) return putBack(context, input.from_backup, input.recovery_key);
    if (!input.new) {
      throw new Failure('invalid_input', 'What to do about the lost key is missing.', {
        hint: 'With a backup: authserver keys recover --from-backup latest --recovery-key FILE. With a copy of it: authserver keys import FILE. Without either: authserver keys recover --new',
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
        ? 'No key was active before: nothing that was signed with one that is not in the database verifies.'
        : 'Still works: tokens of the lost key, until then; sessions and refresh tokens.',
    );
    printer.next(
      `Does not work: clients with a cached JWK set reject tokens of the new key until they fetch it again, up to ${wait}.`,
    );
    printer.next('A server that could not start for want of the key can start now.');
  },
});

/** The backup is opened in this process: what opens it goes to no server. */
async function putBack(context: CliContext, backup: string, sheet: string | undefined): Promise<void> {
  const { isOfUse, privateKeysIn } = await import('../app/backup/put-back-keys.ts');
  const recoveryKeyFile = sheet ?? (context.env['AUTHSERVER_RECOVERY_KEY_FILE'] || undefined);
  const held = await privateKeysIn(await context.config(), { backup, recoveryKeyFile }, context.signal);
  const { items } = await call<{ items: readonly KeyStatus[] }>(context, 'GET', ['keys']);
  const keys: ImportReport[] = [];
  for (const { kid } of items.filter(isOfUse)) {
    const key = held.get(kid);
    if (key === undefined) continue;
    keys.push(await call<ImportReport>(context, 'POST', ['keys', 'import'], { key, active_now: false }));
  }
  if (keys.length === 0) {
    throw new Failure('not_found', `The backup ${backup} holds none of the private keys.`, {
      hint: 'See `authserver keys verify` for the keys that are missing, and `authserver backup list` for other backups.',
    });
  }
  const back = keys.filter(({ outcome }) => outcome === 'restored');
  const headline = back.length === 0 ? 'No key was missing.' : 'The private keys are back in their places.';
  context.printer.record(
    { keys },
    headline,
    keys.map(({ kid, outcome }) => column(kid, () => (outcome === 'restored' ? 'put back' : 'was here'))),
  );
}
