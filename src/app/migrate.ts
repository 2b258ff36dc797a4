import { systemClock } from '../kernel/clock.ts';
import { systemRandom } from '../kernel/random.ts';
import type { Config } from './config.ts';
import { storageChoice } from './database.ts';
import { migrateSchema, planSchema } from './open-store.ts';
import { lockedFailure, prepareStateDir, tryLock } from './state-dir.ts';

export interface MigrationReport {
  /** False when the steps were only planned. */
  readonly applied: boolean;
  readonly steps: readonly { readonly version: number; readonly name: string }[];
}

/**
 * Migrates, or tells what it would do. On SQLite no server may run meanwhile.
 * Failures: `refused` when one does, or when a guard says no.
 */
export async function migrate(config: Config, { planOnly }: { planOnly: boolean }): Promise<MigrationReport> {
  const storage = storageChoice(config);
  prepareStateDir(config.state_dir);
  const { pending } = await planSchema(storage);
  // A server that runs on a current schema is no obstacle to being told so.
  const steps = planOnly || pending.length === 0 ? pending : await migrateLocked(config);
  return { applied: !planOnly, steps: steps.map(({ version, name }) => ({ version, name })) };
}

async function migrateLocked(config: Config): ReturnType<typeof migrateSchema> {
  const storage = storageChoice(config);
  const parts = { clock: systemClock, random: systemRandom };
  // On PostgreSQL the database itself lets one migration run at a time.
  if (storage.driver === 'postgres') return migrateSchema(storage, parts);
  using lock = tryLock(config);
  if (!lock) throw lockedFailure(config.state_dir);
  return await migrateSchema(storage, parts);
}
