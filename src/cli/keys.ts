import type { Command } from './command.ts';
import { keysExportCommand } from './keys-export.ts';
import { keysImportCommand } from './keys-import.ts';
import { keysListCommand } from './keys-list.ts';
import { keysRecoverCommand } from './keys-recover.ts';
import { keysRetireCommand } from './keys-retire.ts';
import { keysRotateCommand } from './keys-rotate.ts';
import { keysVerifyCommand } from './keys-verify.ts';

/** The life of signing keys. */
export const keysCommands: readonly Command[] = [
  keysListCommand('keys list'),
  keysRotateCommand('keys rotate'),
  keysRetireCommand,
  keysImportCommand,
  keysExportCommand,
  keysVerifyCommand,
  keysRecoverCommand,
];
