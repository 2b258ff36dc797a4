/** The table of commands. What the exit codes mean is in exit-codes.ts. */
import type { Command } from './command.ts';

/** By their first word, in the order of the help. Each is loaded when it is named: none needs what the others do. */
const families: Readonly<Record<string, () => Promise<readonly Command[]>>> = {
  serve: async () => [(await import('./serve.ts')).serveCommand],
  migrate: async () => [(await import('./migrate.ts')).migrateCommand],
  purge: async () => [(await import('./purge.ts')).purgeCommand],
  async restore() {
    const { restoreCommand } = await import('./restore.ts');
    const { restoreUndoCommands } = await import('./restore-undo.ts');
    return [restoreCommand, ...restoreUndoCommands];
  },
  async recovery() {
    const { recoverySetupCommand } = await import('./recovery-setup.ts');
    const { recoveryStatusCommand } = await import('./recovery-status.ts');
    return [recoverySetupCommand, recoveryStatusCommand];
  },
  doctor: async () => [(await import('./doctor.ts')).doctorCommand],
  drill: async () => (await import('./drill.ts')).drillCommands,
  version: async () => [(await import('./version.ts')).versionCommand],
  async config() {
    const { configCheckCommand } = await import('./config-check.ts');
    const { configPrintCommand } = await import('./config-print.ts');
    return [configCheckCommand, configPrintCommand];
  },
  keys: async () => (await import('./keys.ts')).keysCommands,
  admin: async () => (await import('./admin.ts')).adminCommands,
  backup: async () => (await import('./backup.ts')).backupCommands,
};

/** The commands that begin with the first word; all of them where there are none, for then somebody is to be helped. */
export async function loadCommands([first = '']: readonly string[]): Promise<readonly Command[]> {
  const named = Object.hasOwn(families, first) ? families[first] : undefined;
  if (named) return named();
  return (await Promise.all(Object.values(families).map((load) => load()))).flat();
}

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
