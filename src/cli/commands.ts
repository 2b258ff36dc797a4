/** The table of commands. What the exit codes mean is in exit-codes.ts. */
import { adminApiKeyCommands } from './admin-api-key.ts';
import { adminClientCommands } from './admin-client.ts';
import { adminInitialAccessTokenCommands } from './admin-initial-access-token.ts';
import { adminKeyCommands } from './admin-key.ts';
import { adminResourceCommands } from './admin-resource.ts';
import { adminUserCommands } from './admin-user.ts';
import { backupCommands } from './backup.ts';
import type { Command } from './command.ts';
import { configCheckCommand } from './config-check.ts';
import { configPrintCommand } from './config-print.ts';
import { doctorCommand } from './doctor.ts';
import { drillCommands } from './drill.ts';
import { keysCommands } from './keys.ts';
import { keysAbandonCommand } from './keys-abandon.ts';
import { keysMoveCommand } from './keys-move.ts';
import { keysReencryptCommand } from './keys-reencrypt.ts';
import { keysSharesCommands } from './keys-shares.ts';
import { migrateCommand } from './migrate.ts';
import { purgeCommand } from './purge.ts';
import { recoverySetupCommand } from './recovery-setup.ts';
import { recoveryStatusCommand } from './recovery-status.ts';
import { restoreCommand } from './restore.ts';
import { restoreUndoCommands } from './restore-undo.ts';
import { serveCommand } from './serve.ts';
import { versionCommand } from './version.ts';

export const commands: readonly Command[] = [
  serveCommand,
  migrateCommand,
  purgeCommand,
  restoreCommand,
  ...restoreUndoCommands,
  recoverySetupCommand,
  recoveryStatusCommand,
  doctorCommand,
  ...drillCommands,
  versionCommand,
  configCheckCommand,
  configPrintCommand,
  ...keysCommands,
  ...adminUserCommands,
  ...adminClientCommands,
  ...adminResourceCommands,
  ...adminKeyCommands,
  keysMoveCommand,
  keysReencryptCommand,
  ...keysSharesCommands,
  keysAbandonCommand,
  ...backupCommands,
  ...adminApiKeyCommands,
  ...adminInitialAccessTokenCommands,
];

/** One line for each word that only leads to others. */
export const groups = {
  backup: 'Make, list, keep and check backups.',
  'backup key': 'The key that opens backups.',
  config: 'Read and show the settings.',
  drill: 'Rehearse a disaster on a copy.',
  recovery: 'Point in time recovery: set it up, see how it stands.',
  keys: 'Keys that sign tokens: list, rotate, retire, recover.',
  admin: 'Look after users, clients, resources and keys.',
  'admin user': 'People who sign in.',
  'admin client': 'Applications that ask for tokens.',
  'admin resource': 'APIs that take tokens.',
  'admin key': 'Keys that sign tokens.',
  'keys shares': 'Recovery shares of the master key.',
  'admin api-key': 'The key of the admin API.',
  'admin initial-access-token': 'Tokens that allow applications to register themselves.',
};
