import type { Command } from './command.ts';
import { keysListCommand } from './keys-list.ts';
import { keysRotateCommand } from './keys-rotate.ts';

/** Commands on keys under the names that other systems gave them. */
export const adminKeyCommands: readonly Command[] = [
  keysListCommand('admin key list'),
  keysRotateCommand('admin key rotate'),
];
