import type { User } from '../identity/user.ts';
import { Failure } from '../kernel/errors.ts';
import { call, deleteAfterAsking, ifAbsent, outcomeOf, readAll, yes } from './admin-calls.ts';
import { type CliContext, type Command, command } from './command.ts';
import { flag, list, text, unless } from './option.ts';
import { type Column, column, moment, orDash, yesNo } from './print/printer.ts';

const user = 'user name or id';

const columns: readonly Column<User>[] = [
  column('user name', ({ username }) => username),
  column('id', ({ id }) => id),
  column('e-mail', ({ email }) => orDash(email)),
  column('status', ({ status }) => status),
  column('created', ({ created_at }) => moment(created_at)),
];

const fields: readonly Column<User>[] = [
  ...columns,
  column('e-mail verified', ({ email_verified }) => yesNo(email_verified)),
  column('name', ({ profile }) => orDash(profile['name'])),
  column('changed', ({ updated_at }) => moment(updated_at)),
];

const create = command({
  name: 'admin user create',
  summary: 'Add a person who can sign in.',
  description: 'The password is asked for on a terminal and read from standard input otherwise.',
  arguments: { username: 'what they sign in with' },
  options: {
    email: text('--email <address>', 'their e-mail address, which they can sign in with too'),
    email_verified: flag('--email-verified', 'the address is known to be theirs'),
    name: text('--name <name>', 'their full name'),
    claims: list('--claim <name=value>', 'another standard claim, such as locale=en (repeatable)'),
    from_stdin: flag('--password-stdin', 'read the password from standard input'),
    with_password: unless('--no-password', 'leave them without a password for now'),
    if_absent: ifAbsent,
  },
  examples: [
    'authserver admin user create ada --email ada@example.com --name "Ada L."',
    `printf '%s' "$PASSWORD" | authserver admin user create ada --password-stdin --if-absent`,
  ],
  async run(context, input) {
    if (input.from_stdin && !input.with_password) {
      throw new Failure('invalid_input', '--password-stdin and --no-password contradict each other.');
    }
    const { username, email, name, if_absent } = input;
    const password = input.with_password
      ? await context.readSecret('Password', { confirm: true, stdin: input.from_stdin })
      : undefined;
    const made = await call<User & { readonly created: boolean }>(context, 'POST', ['users'], {
      username,
      password,
      email,
      email_verified: input.email_verified || undefined,
      profile: { ...(name !== undefined && { name }), ...readClaims(input.claims) },
      if_absent: if_absent || undefined,
    });
    context.printer.record(made, `User ${made.username} ${outcomeOf(made)}`, fields);
  },
});

const listAll = command({
  name: 'admin user list',
  summary: 'List everybody who can sign in.',
  examples: ['authserver admin user list', 'authserver admin user list --json'],
  async run(context) {
    const users = await readAll<User>(context, ['users']);
    context.printer.list(users, columns, 'There are no users yet.');
  },
});

const show = command({
  name: 'admin user show',
  summary: 'Show one user.',
  arguments: { user },
  examples: ['authserver admin user show ada'],
  async run(context, input) {
    printUser(context, await call(context, 'GET', ['users', input.user]), '');
  },
});

const disable = command({
  name: 'admin user disable',
  summary: 'Lock a user out: sessions and tokens end at once.',
  arguments: { user },
  examples: ['authserver admin user disable ada'],
  async run(context, input) {
    const shown = await call<User>(context, 'POST', ['users', input.user, 'disable']);
    printUser(context, shown, ' is disabled; their sessions and tokens have ended.');
  },
});

const enable = command({
  name: 'admin user enable',
  summary: 'Let a disabled user sign in again.',
  arguments: { user },
  examples: ['authserver admin user enable ada'],
  async run(context, input) {
    const shown = await call<User>(context, 'POST', ['users', input.user, 'enable']);
    printUser(context, shown, ' can sign in again.');
  },
});

const setPassword = command({
  name: 'admin user set-password',
  summary: 'Set a password; what the old one opened ends at once.',
  description: 'The password is asked for on a terminal and read from standard input otherwise.',
  arguments: { user },
  options: { from_stdin: flag('--password-stdin', 'read the password from standard input') },
  examples: [
    'authserver admin user set-password ada',
    `printf '%s' "$PASSWORD" | authserver admin user set-password ada --password-stdin`,
  ],
  async run(context, input) {
    const password = await context.readSecret('New password', { confirm: true, stdin: input.from_stdin });
    const shown = await call<User>(context, 'POST', ['users', input.user, 'password'], { password });
    printUser(context, shown, ' has a new password; their sessions and tokens have ended.');
  },
});

const endSessions = command({
  name: 'admin user end-sessions',
  summary: 'Sign a user out everywhere.',
  arguments: { user },
  examples: ['authserver admin user end-sessions ada'],
  async run(context, input) {
    const path = ['users', input.user, 'sessions', 'end'];
    const { ended } = await call<{ readonly ended: number }>(context, 'POST', path);
    context.printer.record(
      { ended },
      `Ended ${ended} ${ended === 1 ? 'session' : 'sessions'} of ${input.user}.`,
    );
  },
});

const remove = command({
  name: 'admin user delete',
  summary: 'Delete a user with all that hangs on them.',
  arguments: { user },
  options: { yes },
  examples: ['authserver admin user delete ada', 'authserver admin user delete ada --yes'],
  run: (context, input) =>
    deleteAfterAsking(context, `the user ${input.user}`, ['users', input.user], input.yes, {
      user: input.user,
    }),
});

export const adminUserCommands: readonly Command[] = [
  create,
  listAll,
  show,
  disable,
  enable,
  setPassword,
  endSessions,
  remove,
];

function printUser({ printer }: CliContext, shown: User, what: string): void {
  printer.record(shown, `User ${shown.username}${what}`, fields);
}

function readClaims(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const mark = pair.indexOf('=');
      if (mark > 0) return [pair.slice(0, mark), pair.slice(mark + 1)];
      throw new Failure('invalid_input', `--claim needs name=value; "${pair}" is something else.`);
    }),
  );
}
