import { Failure } from '../kernel/errors.ts';
import type { ListedBackup, ListReport } from '../ops/backup/list.ts';
import { performQuietly, sheetIn } from './backup-perform.ts';
import { type CliContext, command } from './command.ts';
import { text } from './option.ts';
import { type Column, column, moment } from './print/printer.ts';
import { sizeText, timeText } from './print/quantity.ts';

const columns: readonly Column<ListedBackup>[] = [
  column('id', ({ id }) => id),
  column('made', ({ made_at }) => moment(made_at)),
  column('size', ({ size }) => (size === null ? '-' : sizeText(size))),
  column('rows', ({ rows }) => String(rows ?? '-')),
  column('state', ({ state, pinned }) => (pinned ? `${state}, pinned` : state)),
  column('restores in', ({ rto_ms }) => (rto_ms === null ? '-' : timeText(rto_ms))),
  column('opens with', ({ encryption }) => openers(encryption)),
  column('on', ({ copies }) => copies.map(({ target }) => target).join(', ')),
  column('tags', ({ tags }) => tags.join(', ')),
];

export const backupListCommand = command({
  name: 'backup list',
  summary: 'List the backups on all targets, and what can be believed of each.',
  description:
    'With the recovery sheet it needs no database: only the targets of the settings, and the trust that the sheet carries.',
  options: {
    target: text('--target <name>', 'only this one of backup.targets'),
    recovery_key: text('--recovery-key <file>', 'a recovery sheet: do without the database'),
  },
  examples: ['authserver backup list', 'authserver backup list --target away --json'],
  async run(context, { target, recovery_key: file }) {
    const report =
      file === undefined ? await listed(context, target) : await listedElsewhere(context, target, file);
    const { storage } = await context.config();
    print(context, report, storage.driver === 'sqlite');
  },
});

function listed(context: CliContext, target: string | undefined): Promise<ListReport> {
  return performQuietly(context, ({ listVerb }) => listVerb(target ?? null));
}

async function listedElsewhere(
  context: CliContext,
  target: string | undefined,
  file: string,
): Promise<ListReport> {
  const config = await context.config();
  const sheet = await sheetIn(file);
  const { listElsewhere } = await import('../app/backup/elsewhere.ts');
  return listElsewhere(config, { target: target ?? null, sheet, signal: context.signal });
}

function print({ printer }: CliContext, { items, targets, windows }: ListReport, hasOwnLog: boolean): void {
  const silent = targets.filter(({ problem }) => problem !== null);
  const whenEmpty =
    silent.length === 0 ? 'There are no backups.' : 'There are none on the targets that answer.';
  printer.list(items, columns, whenEmpty, { targets, windows });
  for (const { id, copies } of items) {
    for (const { target, faults, doubts, verified } of copies) {
      const findings = verified?.passed === false ? verified.findings : [];
      for (const what of [...faults, ...doubts, ...findings])
        printer.next(`Attention: ${id} on ${target}: ${what.replace(/\.$/, '')}.`);
    }
  }
  for (const { name, problem } of silent)
    printer.next(`Attention: target ${name} could not be read to its end: ${problem}`);
  for (const { from, to } of windows)
    printer.next(`Any moment from ${moment(from)} to ${moment(to)} can be restored.`);
  // Whoever lists does not read it all, and must not promise what only reading tells.
  if (hasOwnLog && windows.length > 0)
    printer.next(
      'That goes by names; `authserver restore --to TIME --plan` reads the recovery log, and tells.',
    );
  // An empty list would say that there is no backup, where nobody has looked.
  if (silent.length === targets.length && targets.length > 0) {
    throw new Failure('unavailable', 'No backup target could be read.', {
      hint: 'See whether they can be reached: `authserver doctor --only backup-targets`.',
    });
  }
}

function openers(encryption: ListedBackup['encryption']): string {
  if (encryption === null) return '-';
  if (encryption.kind !== 'age') return encryption.kind === 'none' ? 'nothing needed' : 'passphrase';
  const [first = '', ...more] = encryption.recipients.map((recipient) => `${recipient.slice(0, 10)}...`);
  return more.length === 0 ? first : `${first} or ${more.length} more`;
}
