import {
  type CreateProgress,
  type CreateReport,
  createFailure,
  isStored,
} from '../ops/backup/create-report.ts';
import { checkTags } from '../ops/backup/label.ts';
import { type CliContext, command } from './command.ts';
import { flag, list, text, unless } from './option.ts';
import { type Column, column } from './print/printer.ts';
import { type ProgressLine, progressLine } from './print/progress.ts';
import { sizeText, timeText } from './print/quantity.ts';

export const backupCreateCommand = command({
  name: 'backup create',
  summary: 'Make a backup, put it on every target, and prove that it can be restored.',
  description:
    'Rows, keys and settings from one moment, while the server serves. It is read back, restored into a scratch database, ' +
    'booted and tried; only then does it count as verified. Ctrl-C stops it, and nothing is left behind; once it is on its ' +
    'targets it stays there, not yet verified.',
  options: {
    target: text('--target <name>', 'only this one of backup.targets'),
    tags: list('--tag <text>', 'what to call it; may be given more than once'),
    plaintext: flag('--plaintext', 'do not encrypt it: whoever reads it has all hashes and private keys'),
    verify: unless('--no-verify', 'do not try it now; until `backup verify` has, it does not count'),
  },
  examples: [
    'authserver backup create',
    'authserver backup create --tag before-upgrade --json',
    'authserver backup create --target away --no-verify',
  ],
  drains: true,
  async run(context, { target, tags, plaintext, verify }) {
    checkTags(tags);
    const config = await context.config();
    const { perform } = await import('../app/day-two.ts');
    const { createVerb } = await import('../app/backup/verbs.ts');
    const line = progressLine(context.stderr);
    const watch = { progress: (now: CreateProgress) => show(line, now), signal: context.signal };
    const request = { target: target ?? null, tags, plaintext, verify };
    const report = await perform(config, createVerb(request), watch).finally(() => line.clear());
    print(context, report);
    const failure = createFailure(report);
    if (failure) throw failure;
  },
});

function show(line: ProgressLine, { step, what, done, unit, share, elapsed }: CreateProgress): void {
  const label = step === 'snapshot' ? 'reading the database' : step === 'publish' ? `to ${what}` : what;
  line.show({ label, done, unit, share, elapsed });
}

function print({ printer }: CliContext, report: CreateReport): void {
  const { id, outcome } = report;
  if (id === null || !isStored(report)) {
    printer.record(report, 'No backup was made.');
    return;
  }
  const how = {
    verified: 'is made and verified',
    made: 'is made, and not tried yet',
    failed: 'is made, but',
    held: '',
  };
  printer.record(
    report,
    `Backup ${id} ${how[outcome]}${outcome === 'failed' ? ' not all is well' : ''}.`,
    fields(report),
  );
}

function fields({ targets, proof }: CreateReport): Column<CreateReport>[] {
  return [
    column('rows', ({ rows }) => String(rows)),
    column('size', ({ size }) => sizeText(size)),
    column(
      'took',
      ({ duration, published_after }) =>
        `${timeText(duration)}, and was on its targets after ${timeText(published_after ?? duration)}`,
    ),
    column('opens with', ({ encryption }) => openers(encryption)),
    ...(proof ? [column<CreateReport>('restores in', () => timeText(proof.rto_ms))] : []),
    ...targets.map(({ target, outcome, reason }) =>
      column<CreateReport>(target, () => (reason === null ? outcome : `${outcome}: ${reason}`)),
    ),
    ...(proof?.notes ?? []).map((note) => column<CreateReport>('note', () => note)),
  ];
}

function openers(encryption: CreateReport['encryption']): string {
  if (encryption === null || encryption.kind === 'none') return 'nothing: it is not encrypted';
  if (encryption.kind === 'passphrase') return 'the passphrase';
  return encryption.recipients.join(', ');
}
