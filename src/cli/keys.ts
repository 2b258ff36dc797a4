import type { Command } from './command.ts';
import { keysAbandonCommand } from './keys-abandon.ts';
import { keysExportCommand } from './keys-export.ts';
import { keysImportCommand } from './keys-import.ts';
import { keysListCommand } from './keys-list.ts';
import { keysMoveCommand } from './keys-move.ts';
import { keysRecoverCommand } from './keys-recover.ts';
import { keysReencryptCommand } from './keys-reencrypt.ts';
import { keysRetireCommand } from './keys-retire.ts';
import { keysRotateCommand } from './keys-rotate.ts';
import { keysSharesCommands } from './keys-shares.ts';
import { keysVerifyCommand } from './keys-verify.ts';

/** The life of signing keys, and of what seals them. */
export const keysCommands: readonly Command[] = [
  keysListCommand('keys list'),
  keysRotateCommand('keys rotate'),
  keysRetireCommand,
  keysImportCommand,
  keysExportCommand,
  keysVerifyCommand,
  keysRecoverCommand,
  keysMoveCommand,
  keysReencryptCommand,
  ...keysSharesCommands,
  keysAbandonCommand,
];
