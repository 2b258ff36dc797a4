// The checks of the fault suite that a bug can be seeded against: they know nothing of the test runner, so the same ones run as
// tests on the source as it is, and in a process of their own on a source with a bug in it. Each fails by throwing.

import type { Engine } from '../setup/engines.ts';

export type Check = (engine: Engine) => Promise<void>;

/** Loaded one by one: a bug is seeded before anything of the product is there. */
export const CHECKS = {
  'a put into a folder, cut off at every step': async () =>
    (await import('./checks/folder-put.ts')).checkFolderPut(),
  'a key file, cut off at every step': async () => (await import('./checks/key-file.ts')).checkKeyFile(),
  'a state file, cut off at every step': async () =>
    (await import('./checks/state-file.ts')).checkStateFile(),
  'a swap of files, cut off at every step': async () =>
    (await import('./checks/restore-swap.ts')).checkSwap(),
  'a prune, cut off at every step': async () => (await import('./checks/prune.ts')).checkPruneCutOff(),
  'a prune by clocks that lie': async () => (await import('./checks/prune.ts')).checkPruneByClocks(),
  'a backup, cut off at every step': async (engine) =>
    (await import('./checks/create.ts')).checkCreateCutOff(engine),
  'a target that does not give back what it was given': async (engine) =>
    (await import('./checks/create.ts')).checkReadBack(engine),
  'the keys of a backup': async (engine) => (await import('./checks/create.ts')).checkKeys(engine),
  'tables that came out of a restore': async () =>
    (await import('./checks/restored-tables.ts')).checkRestoredTables(),
  'access that was taken away before a restore': async (engine) =>
    (await import('./checks/taken-away.ts')).checkTakenAway(engine),
  'the recovery log, read to its end': async () =>
    (await import('./checks/recovery-log.ts')).checkRecoveryLog(),
} as const satisfies Record<string, Check>;

export type CheckName = keyof typeof CHECKS;

/** Checks that a database takes part in: they run on both engines. */
export const ON_ENGINES: ReadonlySet<CheckName> = new Set<CheckName>([
  'a backup, cut off at every step',
  'a target that does not give back what it was given',
  'the keys of a backup',
  'access that was taken away before a restore',
]);
