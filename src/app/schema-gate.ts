import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import type { Config } from './config.ts';
import { pendingFailure, pendingSteps, storageChoice } from './database.ts';
import { migrateSchema, planSchema } from './open-store.ts';

/** How often the schema is looked at while somebody else is to migrate it, ms. */
const LOOK_AGAIN = 1000;

/**
 * Resolves once the schema is up to date: at once, after migrating where the settings allow it, or when somebody else has
 * migrated. Until then the public listener answers `/livez`, and a `/ready` that names what is missing.
 * Failures: `refused` when a guard of the migration says no, `interrupted` when `stop` comes first.
 */
export async function passSchemaGate(config: Config, log: Log, stop: AbortSignal): Promise<void> {
  const storage = storageChoice(config);
  const { applied, pending } = await planSchema(storage);
  if (pending.length === 0) return;
  const allowed = config.storage.auto_migrate ?? (storage.driver === 'sqlite' || applied.length === 0);
  if (!allowed) return waitForMigration(config, log, stop);
  const steps = await migrateSchema(storage, { clock: systemClock, random: systemRandom });
  for (const { version, name } of steps) log.info({ version, name }, 'schema step applied');
}

async function waitForMigration(config: Config, log: Log, stop: AbortSignal): Promise<void> {
  const failure = pendingFailure(await pendingSteps(config));
  log.warn({ hint: failure.hint }, failure.message);
  const { listenWhileWaiting } = await import('./public-server.ts');
  const app = await listenWhileWaiting(config, log);
  try {
    await untilMigrated(config, stop);
    log.info({}, 'the schema is up to date');
  } finally {
    await app.close();
  }
}

async function untilMigrated(config: Config, stop: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await sleep(LOOK_AGAIN, undefined, { signal: stop });
    } catch {
      throw new Failure('interrupted', 'Stopped while waiting for the schema to be migrated.');
    }
    // A database that does not answer for a moment is looked at again.
    const pending = await pendingSteps(config).catch(() => undefined);
    if (pending?.length === 0) return;
  }
}
