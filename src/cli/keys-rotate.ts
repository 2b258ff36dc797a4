import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import type { Rotation } from '../keys/keyring.ts';
import type { CompromiseReport } from '../keys/withdrawal.ts';
import type { RotationPlan } from '../ops/rotate.ts';
import { call } from './admin-calls.ts';
import { type CliContext, type Command, command } from './command.ts';
import { flag, text } from './option.ts';
import { type Column, column, moment, orDash } from './print/printer.ts';

/** @param name under which it is known */
export function keysRotateCommand(name: 'keys rotate' | 'admin key rotate'): Command {
  return command({
    name,
    summary: 'Publish a new signing key, which takes over once every client can know it.',
    description:
      'The new key is published at once and signs after signing.jwks_max_age; the former one goes on verifying until its last token has run out. When a key is waiting already, that one is shown and no other is made. With --compromised the named key is dropped at once, with everything it has signed.',
    options: {
      plan: flag('--plan', 'say what would happen when, and do nothing'),
      compromised: text('--compromised <kid>', 'somebody else may have this key: drop it now'),
      yes: flag('--yes', 'do not ask before dropping a key'),
    },
    examples: [
      `authserver ${name}`,
      `authserver ${name} --plan`,
      `authserver ${name} --compromised 3Jk0aVd2mZ --yes`,
    ],
    async run(context, { plan, compromised, yes }) {
      if (plan && compromised !== undefined)
        throw new Failure('invalid_input', '--plan and --compromised contradict each other.');
      if (plan) await showPlan(context);
      else if (compromised === undefined) await rotate(context);
      else await drop(context, compromised, yes);
    },
  });
}

async function rotate(context: CliContext): Promise<void> {
  const rotation = await call<Rotation>(context, 'POST', ['keys', 'rotate']);
  const headline = rotation.started
    ? 'A new signing key is published.'
    : 'A new signing key was waiting already.';
  context.printer.record(rotation, headline, [
    column('key id', ({ kid }) => kid),
    column('signs from', ({ activates_at }) => moment(activates_at)),
  ]);
}

async function showPlan(context: CliContext): Promise<void> {
  const plan = await call<RotationPlan>(context, 'GET', ['keys', 'rotation']);
  const headline =
    plan.waiting === null
      ? 'A rotation would publish a new key now.'
      : 'A key is waiting already; a rotation would make no other.';
  context.printer.record(plan, headline, [
    column('signs now', ({ signing }) => orDash(signing)),
    column('waits', ({ waiting }) => orDash(waiting)),
    column('the next one signs from', ({ signs_from }) => moment(signs_from)),
    column('the former verifies until', ({ former_verifies_until }) => moment(former_verifies_until)),
    column('rotates by itself', ({ scheduled_at }) => moment(scheduled_at)),
  ]);
}

async function drop(context: CliContext, kid: string, sure: boolean): Promise<void> {
  if (!sure) {
    await context.confirm(
      `Drop the signing key ${kid} now? Every token that it has signed becomes invalid, and it cannot be brought back.`,
    );
  }
  const report = await call<CompromiseReport>(context, 'POST', ['keys', kid, 'compromised']);
  const { former_state, successor, jwks_max_age, access_tokens_until } = report;
  const again = former_state === 'compromised';
  const fields: Column<CompromiseReport>[] = [
    column('it was', (shown) => shown.former_state),
    column('signs instead', (shown) => orDash(shown.successor?.kid)),
    column('access tokens revoked', ({ revoked }) => String(revoked)),
    column('they would have lived until', () => moment(access_tokens_until)),
    column('ID tokens may exist until', ({ id_tokens_until }) => moment(id_tokens_until)),
    column('private half', ({ private_half }) => private_half),
  ];
  context.printer.record(
    report,
    again ? `Key ${kid} had been dropped; what was left is done.` : `Key ${kid} is dropped.`,
    fields,
  );
  const { printer } = context;
  const wait = formatDuration(jwks_max_age);
  printer.next(
    `Invalid now: every access token of this key, and its ID tokens as id_token_hint. Whoever checks tokens with a cached JWK set may accept them for up to ${wait} more.`,
  );
  printer.next('Sessions and refresh tokens live on: they are not signed with it.');
  if (successor === null) return;
  printer.next(
    successor.published_for >= jwks_max_age
      ? 'The key that signs instead was published long enough: every client can know it.'
      : `The key that signs instead is new to clients: those with a cached JWK set reject its tokens until they fetch it again, up to ${wait}.`,
  );
}
