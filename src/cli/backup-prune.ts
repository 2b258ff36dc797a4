import { Failure } from '../kernel/errors.ts';
import { type PrunedTarget, type PruneReport, type PruneRequest, pruneFailure } from '../ops/backup/prune.ts';
import { performQuietly, sheetIn } from './backup-perform.ts';
import { type CliContext, command } from './command.ts';
import { flag, list, text } from './option.ts';

const STOPS = ['future_dated', 'clock_jumped', 'kept_set_shrinks'] as const;

export const backupPruneCommand = command({
  name: 'backup prune',
  summary: 'Remove the backups that no rule keeps, with the reason for each.',
  description:
    'The rules are backup.keep, backup.minimum and the `keep` of a target. Only verified backups count. With --deployment and ' +
    'the recovery sheet it needs no database and no server, so that it can run where other credentials are.',
  options: {
    target: text('--target <name>', 'only this one of backup.targets'),
    dry_run: flag('--dry-run', 'say what would go, and remove nothing'),
    accept: list('--accept <kind>', `go on although a person should look first: ${STOPS.join(', ')}`),
    deployment: text('--deployment <id>', 'do without the database: whose backups they are'),
    recovery_key: text(
      '--recovery-key <file>',
      'do without the database: the recovery sheet, for the trust on it',
    ),
  },
  examples: [
    'authserver backup prune --dry-run',
    'authserver backup prune',
    'authserver backup prune --deployment dep_01jd8k2m3n --recovery-key sheet.txt',
  ],
  drains: true,
  async run(context, { target, dry_run, accept, deployment, recovery_key: file }) {
    const request: PruneRequest = { target: target ?? null, dry_run, accept: accept.map(stopNamed) };
    const isElsewhere = deployment !== undefined || file !== undefined;
    const report = isElsewhere
      ? await prunedElsewhere(context, request, deployment, file)
      : await performQuietly(context, ({ pruneVerb }) => pruneVerb(request));
    print(context, report);
    const failure = pruneFailure(report);
    if (failure) throw failure;
  },
});

async function prunedElsewhere(
  context: CliContext,
  request: PruneRequest,
  deployment: string | undefined,
  file: string | undefined,
): Promise<PruneReport> {
  if (file === undefined) {
    throw new Failure(
      'invalid_input',
      '--deployment needs --recovery-key, which says whose signatures count.',
      {
        hint: 'Lines "# signer: ..." are enough; the secret need not be on the sheet.',
      },
    );
  }
  const config = await context.config();
  const sheet = await sheetIn(file);
  const { pruneElsewhere } = await import('../app/backup/elsewhere.ts');
  return pruneElsewhere(config, { ...request, sheet, deployment, signal: context.signal });
}

function stopNamed(text: string): (typeof STOPS)[number] {
  const found = STOPS.find((stop) => stop === text);
  if (found) return found;
  throw new Failure('invalid_input', `--accept does not know "${text}".`, {
    hint: `Use one of: ${STOPS.join(', ')}.`,
  });
}

function print({ printer }: CliContext, report: PruneReport): void {
  const gone = report.targets.flatMap(({ removed }) => removed).length;
  const would = report.targets.flatMap(({ decisions }) => decisions.filter(({ keeps }) => !keeps)).length;
  printer.document(
    report,
    [
      report.dry_run ? `${would} would be removed.` : `${gone} removed.`,
      ...report.targets.flatMap((target) => describe(target)),
    ].join('\n'),
  );
}

function describe({ target, outcome, reason, decisions, stops, swept, log_pieces }: PrunedTarget): string[] {
  return [
    `${target}: ${reason === null ? outcome : `${outcome}: ${reason}`}`,
    ...decisions.map(
      ({ id, keeps, reasons }) => `  ${keeps ? 'stays' : 'goes '}  ${id}  ${reasons.join('; ')}`,
    ),
    ...(reason === null ? stops.map((stop) => `  stop   ${stop.kind}: ${stop.reason}`) : []),
    ...swept.map((name) => `  swept  ${name}`),
    ...(log_pieces > 0 ? [`  ${log_pieces} pieces of the recovery log are gone`] : []),
  ];
}
