import path from 'node:path';
import { Failure } from '../kernel/errors.ts';
import { openingOf, openingOptions } from './backup-keys.ts';
import { command } from './command.ts';
import { choice, flag, text } from './option.ts';
import { onlyOptions, restoreOnly } from './restore-only.ts';
import { carryOut } from './restore-plan.ts';

export const restoreCommand = command({
  name: 'restore',
  summary: 'Bring a backup back, in the place of the present state.',
  description:
    'Nothing is touched before the backup has been read to its end, compared and brought up to date beside the present state; then the two are exchanged at once, and `restore undo` brings the former one back. No server may run meanwhile. What was revoked, disabled, changed or removed since the backup stays so, and people sign in again. --plan shows what would be done and what is lost. Killed at any moment, it is wholly done or not at all.',
  optional: { backup: 'the id of a backup, or the path of an archive' },
  options: {
    latest: flag('--latest', 'the newest backup that was proven'),
    to: text(
      '--to <time>',
      'the moment to go back to, such as 2026-03-01T12:30:00Z, from the newest backup before it; needs the recovery log',
    ),
    into: text(
      '--into <place>',
      'into this SQLite file or PostgreSQL database (postgres://...) instead, which has to be empty',
    ),
    ...onlyOptions,
    plan: flag('--plan', 'show what would be done, without doing it'),
    ...openingOptions,
    sessions: choice(
      '--sessions <fate>',
      'keep those who are signed in so, where the recovery log reaches the very end; or end them (default: end)',
      ['keep', 'end'],
    ),
    removed: choice(
      '--removed <fate>',
      'users and clients removed since the backup: remove them again, or keep them, disabled (default: remove)',
      ['remove', 'disable'],
    ),
    unverified: flag('--unverified', 'take a backup that was never proven'),
    accept_deployment: text(
      '--accept-deployment <id>',
      'let this state directory go over to that deployment',
    ),
    yes: flag('--yes', 'go ahead without being asked'),
  },
  examples: [
    'authserver restore --latest --plan',
    'authserver restore --latest --recovery-key recovery.txt',
    'authserver restore 00000042-20261122T000439Z-k3f9 --yes',
    'authserver restore --to 2026-03-01T12:30:00Z',
    'authserver restore backup.tar.zst.age --into /srv/copy/authserver.db',
    'authserver restore --only user:alice,client:cli_0123 --latest --plan',
  ],
  drains: true,
  async run(context, { backup, latest, to, plan, yes, only, on_conflict, ...input }) {
    // A moment is gone to from the newest backup before it, whether that is said or not.
    if (backup === undefined ? !latest && to === undefined : latest) {
      throw new Failure('invalid_input', 'Which backup is missing, or there are two.', {
        hint: 'Give the id of a backup (`authserver backup list`), the path of an archive, --latest, or --to TIME.',
      });
    }
    if (only !== undefined) {
      checkOnly({ ...input, to });
      return restoreOnly(context, { only, on_conflict, backup, plan, yes, ...input });
    }
    if (on_conflict !== undefined) throw new Failure('invalid_input', '--on-conflict belongs to --only.');
    const { prepareRestore } = await import('../app/restore/restore.ts');
    await using prepared = await prepareRestore(await context.config(), {
      backup,
      to: to === undefined ? undefined : readTime(to),
      ...openingOf(context, input),
      into: input.into,
      sessions: input.sessions ?? 'end',
      removals: input.removed === 'disable' ? 'disable' : 'repeat',
      unverified: input.unverified,
      acceptDeployment: input.accept_deployment,
    });
    const isElsewhere = input.into !== undefined;
    await carryOut(context, prepared, { planOnly: plan, yes, verb: 'restore', isElsewhere });
    if (!plan && input.into !== undefined) showSettings(context.printer, input.into);
  },
});

/** What is put back beside the present state neither goes back in time nor takes another's place. */
function checkOnly(input: Readonly<Record<string, unknown>>): void {
  const others = ['to', 'into', 'sessions', 'removed', 'unverified', 'accept_deployment'];
  const other = others.find((name) => input[name] !== undefined && input[name] !== false);
  if (other === undefined) return;
  throw new Failure('invalid_input', `--only and --${other.replace('_', '-')} exclude each other.`, {
    hint: 'Without --only the whole backup is restored.',
  });
}

function showSettings(printer: { next(sentence: string, line?: string): void }, into: string): void {
  const isPostgres = /^postgres(ql)?:\/\//.test(into);
  printer.next('A server serves it with these settings, and otherwise those of this one:');
  printer.next(`  storage.driver: ${isPostgres ? 'postgres' : 'sqlite'}`);
  printer.next(
    isPostgres ? '  storage.postgres.dsn: the one you gave' : `  storage.sqlite.path: ${path.resolve(into)}`,
  );
}

/** ms. The zone has to be said: an hour is too much to be wrong by. */
function readTime(typed: string): number {
  const [, day] = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.exec(typed) ?? [];
  // Date.parse takes the 30th of February for the 2nd of March.
  const midnight = day === undefined ? Number.NaN : Date.parse(`${day}T00:00:00Z`);
  const isDay = !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(String(day));
  const time = isDay ? Date.parse(typed) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new Failure('invalid_input', `--to does not know "${typed}".`, {
    hint: 'Write the moment with its zone, such as 2026-03-01T12:30:00Z or 2026-03-01T13:30:00+01:00.',
  });
}
