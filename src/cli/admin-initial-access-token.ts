import { Failure } from '../kernel/errors.ts';
import { call } from './admin-calls.ts';
import { type Command, command } from './command.ts';
import { duration, flag, integer, text } from './option.ts';
import { column, moment } from './print/printer.ts';

interface InitialAccessToken {
  readonly id: string;
  readonly initial_access_token: string;
  readonly note: string;
  readonly scope: string;
  readonly uses_left: number | null;
  readonly expires_at: number;
}

const create = command({
  name: 'admin initial-access-token create',
  summary: 'Make an initial access token, with which a client may register itself.',
  options: {
    uses: integer('--uses <count>', 'how many registrations it allows; 1 when not given'),
    unlimited: flag('--unlimited', 'any number of registrations'),
    lifetime: duration('--lifetime <duration>', 'how long it is good; 24h when not given'),
    scope: text('--scope <scope>', 'the most for a client that acts for itself; none such when not given'),
    note: text('--note <text>', 'who it is for, for your own memory'),
  },
  examples: [
    'authserver admin initial-access-token create',
    'authserver admin initial-access-token create --uses 10 --lifetime 7d',
    'authserver admin initial-access-token create --scope "notes:read notes:write"',
  ],
  async run(context, { uses, unlimited, lifetime, scope, note }) {
    if (unlimited && uses !== undefined) {
      throw new Failure('invalid_input', '--uses and --unlimited contradict each other.');
    }
    const body = { uses: unlimited ? null : uses, lifetime, scope, note };
    const made = await call<InitialAccessToken>(context, 'POST', ['initial-access-tokens'], body);
    context.printer.record(made, 'Initial access token made.', [
      column('token', (token) => token.initial_access_token),
      column('registrations', (token) => (token.uses_left === null ? 'any number' : String(token.uses_left))),
      column('scope', (token) => token.scope || 'no client that acts for itself'),
      column('expires', (token) => moment(token.expires_at)),
    ]);
    context.printer.next('The token is shown this once and cannot be read back: hand it over now.');
  },
});

export const adminInitialAccessTokenCommands: readonly Command[] = [create];
