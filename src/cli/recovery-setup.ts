import type { Config } from '../app/config.ts';
import type { SetupReport, SetupRequest } from '../app/pgbackrest/setup.ts';
import { Failure } from '../kernel/errors.ts';
import type { RepoCredentials } from '../ops/point-in-time/configuration.ts';
import { type CliContext, command } from './command.ts';
import { flag, text } from './option.ts';
import { column, moment } from './print/printer.ts';
import { printStatus } from './recovery-status.ts';

export const recoverySetupCommand = command({
  name: 'recovery setup',
  summary: 'Set up point in time recovery of a PostgreSQL database.',
  description:
    'Run it on the host of the database, as root or as the user who runs PostgreSQL. It sets pgBackRest up with an encrypted ' +
    'repository, has PostgreSQL archive to it, makes the first full backup, and proves the whole by a restore beside the live ' +
    'database. Where something is left to you it says what, and goes on when it is run again. On SQLite nothing is to be set ' +
    'up: the server keeps its recovery log by itself.',
  options: {
    repo: text(
      '--repo <place>',
      'a folder, best on another disk, or s3://bucket/prefix?region=...&endpoint=... (credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of the machine)',
    ),
    stanza: text('--stanza <name>', 'the name of this cluster in the repository (default: authserver)'),
    pgdata: text('--pgdata <dir>', 'the data directory, where the role of the settings may not see it'),
    write: text(
      '--write <dir>',
      'the folder of the configuration, the logs and the scratch clusters (default: /var/lib/authserver-pgbackrest)',
    ),
    passphrase_file: text(
      '--passphrase-file <file>',
      'the passphrase of a repository that exists; otherwise one is made',
    ),
    apply: flag('--apply', 'change the settings of PostgreSQL instead of telling the lines'),
    adopt: text(
      '--adopt <file>',
      'on a new machine: restore from the repository of this configuration of pgBackRest; nothing is set up',
    ),
    provider: flag(
      '--provider',
      'somebody else takes care of it (RDS, Neon, Supabase ...): install nothing, only watch',
    ),
  },
  examples: [
    'authserver recovery setup --repo /mnt/backup/pgbackrest --apply',
    'authserver recovery setup --repo "s3://bucket/pg?region=eu-central-1"',
    'authserver recovery setup --provider',
  ],
  drains: true,
  async run(context, { provider, adopt, ...options }) {
    checkAlone({ provider, adopt, ...options });
    const config = await context.config();
    if (adopt !== undefined) return adoptFrom(context, config, adopt, options.stanza);
    const { leaveToProvider, setUpRecovery } = await import('../app/pgbackrest/setup.ts');
    if (provider) return printStatus(context.printer, await leaveToProvider(config));
    const request: SetupRequest = { ...options, credentials: credentialsOf(context.env) };
    const progress = (step: string) => tell(context, step);
    const report = await setUpRecovery(config, request, { signal: context.signal, progress });
    print(context, report);
    if (!report.done) {
      throw new Failure('unavailable', 'Point in time recovery is not set up to the end yet.', {
        hint: 'Do what stands above, then run the same command again.',
      });
    }
  },
});

/** What somebody else takes care of has no repository of ours, and what is adopted has one already. */
function checkAlone(input: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(input).filter((name) => input[name] !== undefined && input[name] !== false);
  const alone = given.includes('provider') ? 'provider' : given.includes('adopt') ? 'adopt' : undefined;
  const other = given.find((name) => name !== alone && !(alone === 'adopt' && name === 'stanza'));
  if (alone === undefined || other === undefined) return;
  throw new Failure('invalid_input', `--${alone} and --${other.replace('_', '-')} exclude each other.`, {
    hint: 'Run it once for each, if both are meant.',
  });
}

async function adoptFrom(
  { printer }: CliContext,
  config: Config,
  file: string,
  stanza: string | undefined,
): Promise<void> {
  const { adoptRepository } = await import('../app/pgbackrest/adopt.ts');
  const repository = await adoptRepository(config, file, stanza);
  printer.record(repository, `The repository of ${file} can be restored from.`, [
    column('backups', ({ backups }) => String(backups.length)),
    column('oldest', ({ backups }) => moment(backups[0]?.stopped_at)),
    column('newest', ({ backups }) => moment(backups.at(-1)?.stopped_at)),
  ]);
  printer.next('Go on with:', 'authserver restore --to TIME');
}

function credentialsOf({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }: CliContext['env']) {
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return undefined;
  return { keyId: AWS_ACCESS_KEY_ID, secret: AWS_SECRET_ACCESS_KEY } satisfies RepoCredentials;
}

/** Some steps take minutes. */
function tell({ terminal, stderr }: CliContext, step: string): void {
  if (terminal) stderr.write(`${step} ...\n`);
}

function print({ printer }: CliContext, report: SetupReport): void {
  const { done, steps, next, passphrase, stanza, timers } = report;
  printer.record(
    report,
    done ? 'Point in time recovery works.' : 'Point in time recovery is being set up.',
    steps.map(({ step, says }) => column<SetupReport>(step, () => says)),
  );
  if (passphrase !== null) {
    printer.next(
      'Without this passphrase nothing in the repository can be read. Add this line to the recovery sheet:',
    );
    printer.next(`  # pgbackrest ${stanza}: ${passphrase}`);
  }
  if (next) {
    printer.next(next.say);
    for (const line of next.lines) printer.next(`  ${line}`);
  }
  if (timers.length > 0) {
    printer.next(
      'Lines for /etc/cron.d, so that it stays so. PATH there has to lead to authserver, and --config or',
    );
    printer.next('AUTHSERVER_* variables to the settings of this installation:');
  }
  for (const line of timers) printer.next(`  ${line}`);
}
