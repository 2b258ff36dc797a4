import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import {
  type Verdict,
  type VerifyProgress,
  type VerifyReport,
  type VerifyRequest,
  verifyFailure,
} from '../ops/verify/verify-report.ts';
import { type CliContext, command } from './command.ts';
import { flag, text } from './option.ts';
import { type Column, moment } from './print/printer.ts';
import { type ProgressLine, progressLine } from './print/progress.ts';

export const backupVerifyCommand = command({
  name: 'backup verify',
  summary: 'Restore backups into a scratch database, boot a server on it, and let a canary use it.',
  description:
    'Without an id, the newest one. What is encrypted to the recovery key is restored only where the key is given; without ' +
    'it the bytes are held to the signed record, and it says so. The key is used in this process and goes to no server. ' +
    'The outcome is signed and kept beside the backup: what does not pass counts for nothing. Nothing of the live database ' +
    'is touched. Backups that were there before and have gone without a receipt are told of too.',
  optional: { id: 'the id of a backup, as `backup list` shows it' },
  options: {
    latest: flag('--latest', 'the newest one, which is what it does anyway'),
    all: flag('--all', 'every backup'),
    target: text('--target <name>', 'only on this target'),
    read_data: text(
      '--read-data <part>',
      'look for all backups; of those that have passed before, read this part again, the next one each time: 1/7',
    ),
    recovery_key: text('--recovery-key <file>', 'the recovery sheet (or AUTHSERVER_RECOVERY_KEY_FILE)'),
    passphrase_file: text('--passphrase-file <file>', 'the passphrase that the backups were made with'),
    accept_missing: flag(
      '--accept-missing',
      'let go of backups that are gone, after telling of them once more',
    ),
  },
  examples: [
    'authserver backup verify',
    'authserver backup verify --latest --recovery-key recovery-sheet.txt',
    'authserver backup verify --all --read-data=1/7',
  ],
  drains: true,
  async run(context, { id, latest, all, target, read_data, recovery_key, passphrase_file, accept_missing }) {
    const request: VerifyRequest = {
      which: chosen(id, latest, all || read_data !== undefined),
      target: target ?? null,
      part: partOf(read_data),
      acceptMissing: accept_missing,
    };
    const config = await context.config();
    const { verifyNow, verifyWithKeys } = await import('../app/backup/verify.ts');
    const recoveryKeyFile = recovery_key ?? (context.env['AUTHSERVER_RECOVERY_KEY_FILE'] || undefined);
    const hasKeys = recoveryKeyFile !== undefined || passphrase_file !== undefined;
    const keys = hasKeys && { recoveryKeyFile, passphraseFile: passphrase_file, trust: [] };
    const line = progressLine(context.stderr);
    const watch = { progress: (now: VerifyProgress) => show(line, now), signal: context.signal };
    const verifying = keys ? verifyWithKeys(config, request, keys, watch) : verifyNow(config, request, watch);
    const report = await verifying.finally(() => line.clear());
    print(context, report);
    const failure = verifyFailure(report);
    if (failure) throw failure;
  },
});

function chosen(id: string | undefined, latest: boolean, all: boolean): VerifyRequest['which'] {
  if ([id !== undefined, latest, all].filter(Boolean).length > 1) {
    throw new Failure('invalid_input', 'An id, --latest and --all (or --read-data) exclude each other.');
  }
  if (id !== undefined) return { id };
  return all ? 'all' : 'latest';
}

const MOST_PARTS = 1000;

function partOf(typed: string | undefined): number | null {
  if (typed === undefined) return null;
  const parts = Number(/^1\/(\d{1,4})$/.exec(typed)?.[1] ?? 0);
  if (parts >= 1 && parts <= MOST_PARTS) return parts;
  throw new Failure('invalid_input', `--read-data does not know "${typed}".`, {
    hint: 'Write the part that is read each time: 1/7 reads everything in seven runs.',
  });
}

function show(line: ProgressLine, { id, target, number, of, step, elapsed }: VerifyProgress): void {
  const label = `${id} (${target}): ${step}`;
  line.show({ label, done: number, unit: `of ${of}`, share: (number - 1) / of, elapsed });
}

function print({ printer }: CliContext, report: VerifyReport): void {
  const { outcome, backups, missing, targets } = report;
  const unproven = backups.filter(({ outcome: own, proven_at }) => own === 'passed' && proven_at === null);
  const headlines = {
    passed:
      unproven.length === 0
        ? `${counted(backups.length)} passed.`
        : `${counted(backups.length)} as recorded; ${unproven.length} never restored.`,
    failed: 'Not every backup passed.',
    not_tried: 'Not every backup could be tried.',
  };
  const lines: Column<VerifyReport>[] = [
    ...backups.map((verdict) => ({
      title: `${verdict.id} on ${verdict.target}`,
      text: () => describe(verdict),
    })),
    ...missing.map(({ id, target, last_seen }) => ({
      title: `${id} on ${target}`,
      text: () => `GONE without a receipt; it was last there at ${moment(last_seen)}`,
    })),
    ...targets.flatMap(({ target, problem }) =>
      problem === null ? [] : [{ title: target, text: () => `could not be read: ${problem}` }],
    ),
  ];
  printer.record(report, headlines[outcome], lines);
  if (unproven.length > 0) {
    printer.next(
      'Bytes that are as recorded are no proof. To restore and try what is encrypted to the recovery key:',
      'authserver backup verify --recovery-key FILE',
    );
  }
}

const TRIED = {
  restored: 'restored and used',
  bytes: 'bytes as recorded',
  presence: 'there',
};

/** `passed: restored and used in 420ms`, `passed: there, restored at ...`, `FAILED: The table users is missing.` */
function describe({ outcome, tried, findings, notes, rto_ms, proven_at }: Verdict): string {
  const remarks = notes.length === 0 ? '' : ` (${notes.join(' ')})`;
  if (outcome === 'failed') return `FAILED: ${findings.join(' ')}${remarks}`;
  if (outcome === 'not_tried') return `not tried${remarks}`;
  const took = rto_ms === null ? '' : ` in ${formatDuration(rto_ms)}`;
  const before = tried === 'restored' || proven_at === null ? '' : `, restored at ${moment(proven_at)}`;
  return `passed: ${TRIED[tried]}${took}${before}${remarks}`;
}

function counted(backups: number): string {
  return backups === 1 ? '1 backup' : `${backups} backups`;
}
