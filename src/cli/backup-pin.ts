import { isBackupId } from '../archive/backup-id.ts';
import { noSuchBackup } from '../ops/backup/catalog.ts';
import { checkLabel, REASON } from '../ops/backup/label.ts';
import { backupPinned } from './backup-perform.ts';
import { command } from './command.ts';
import { text } from './option.ts';

const pin = command({
  name: 'backup pin',
  summary: 'Keep a backup, whatever the rules of retention say.',
  arguments: { id: 'id of the backup' },
  options: { reason: text('--reason <text>', 'why; it is shown in the list') },
  examples: ["authserver backup pin 00000042-20261122T000439Z-k3f9 --reason 'before the merger'"],
  async run(context, { id, reason }) {
    checkId(id);
    checkLabel(reason ?? '', REASON);
    const report = await backupPinned(context, { id, pinned: true, reason: reason ?? '' });
    context.printer.record(report, `Backup ${id} stays on ${report.targets.join(', ')}.`);
  },
});

const unpin = command({
  name: 'backup unpin',
  summary: 'Leave a backup to the rules of retention again.',
  arguments: { id: 'id of the backup' },
  examples: ['authserver backup unpin 00000042-20261122T000439Z-k3f9'],
  async run(context, { id }) {
    checkId(id);
    const report = await backupPinned(context, { id, pinned: false, reason: '' });
    context.printer.record(report, `Backup ${id} is kept for as long as the rules say.`);
  },
});

function checkId(id: string): void {
  if (!isBackupId(id)) throw noSuchBackup(id);
}

export const backupPinCommands = [pin, unpin];
