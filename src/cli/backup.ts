import { backupCreateCommand } from './backup-create.ts';
import { backupDiffCommand } from './backup-diff.ts';
import { backupExtractCommand } from './backup-extract.ts';
import { backupKeyCommands } from './backup-key.ts';
import { backupListCommand } from './backup-list.ts';
import { backupPinCommands } from './backup-pin.ts';
import { backupPruneCommand } from './backup-prune.ts';
import { backupVerifyCommand } from './backup-verify.ts';
import type { Command } from './command.ts';

/** Making, listing and keeping backups. */
export const backupCommands: readonly Command[] = [
  backupCreateCommand,
  backupListCommand,
  backupVerifyCommand,
  ...backupPinCommands,
  backupPruneCommand,
  backupDiffCommand,
  backupExtractCommand,
  ...backupKeyCommands,
];
