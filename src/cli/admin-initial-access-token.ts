import { Failure } from '../kernel/errors.ts';
import { adminPath, column, duration } from './admin-calls.ts';
import { type Command, command } from './command.ts';
import { flag, integer, text } from './option.ts';
import { moment } from './print/printer.ts';

interface InitialAccessToken {
  readonly id: string;
  readonly initial_access_token: string;
  readonly note: string;
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
    note: text('--note <text>', 'who it is for, for your own memory'),
  },
  examples: [
    'authserver admin initial-access-token create',
    'authserver admin initial-access-token create --uses 10 --lifetime 7d',
  ],
  async run(context, { uses, unlimited, lifetime, note }) {
    if (unlimited && uses !== undefined) {
      throw new Failure('invalid_input', '--uses and --unlimited contradict each other.');
    }
    const admin = await context.admin();
    const { body } = await admin.request('POST', adminPath('initial-access-tokens'), {
      uses: unlimited ? null : uses,
      lifetime,
      note,
    });
    context.printer.record(body as InitialAccessToken, 'Initial access token made.', [
      column('token', (token) => token.initial_access_token),
      column('registrations', (token) => (token.uses_left === null ? 'any number' : String(token.uses_left))),
      column('expires', (token) => moment(token.expires_at)),
    ]);
    context.printer.next('The token is shown this once and cannot be read back: hand it over now.');
  },
});

export const adminInitialAccessTokenCommands: readonly Command[] = [create];
