import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Config } from './config.ts';
import { pendingFailure, pendingSteps, planDatabase } from './database.ts';
import { rememberDeployment } from './deployment.ts';
import type { Metrics } from './metrics/metrics.ts';

/** How often the schema is looked at while somebody else is to migrate it, ms. */
const LOOK_AGAIN = 1000;

/**
 * True once the schema is up to date: at once, after migrating where the settings allow it, or when somebody else has
 * migrated; false when `stop` comes first. Until then the public listener answers `/livez`, and a `/ready` that names what is
 * missing. Failures: `refused` when a guard of the migration says no, or the database is another deployment's.
 */
export async function passSchemaGate(
  config: Config,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  stop: AbortSignal,
): Promise<boolean> {
  const { pending, deployment } = await planDatabase(config);
  if (pending.length > 0) {
    const { mayMigrateAtStart, upgradeAtStart } = await import('./migrate.ts');
    if (await mayMigrateAtStart(config)) return upgradeAtStart(config, log, stop);
    return waitForMigration(config, { log, metrics }, stop);
  }
  rememberDeployment(config.state_dir, deployment);
  return true;
}

async function waitForMigration(
  config: Config,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  stop: AbortSignal,
): Promise<boolean> {
  const failure = pendingFailure(await pendingSteps(config));
  log.warn({ hint: failure.hint }, failure.message);
  const { listenWhileWaiting } = await import('./public-server.ts');
  await using _waiting = await listenWhileWaiting(config, log, metrics);
  if (!(await untilMigrated(config, stop))) return false;
  rememberDeployment(config.state_dir, (await planDatabase(config)).deployment);
  log.info({}, 'the schema is up to date');
  return true;
}

async function untilMigrated(config: Config, stop: AbortSignal): Promise<boolean> {
  while (!stop.aborted) {
    await sleep(LOOK_AGAIN, undefined, { signal: stop }).catch(() => undefined);
    const pending = await pendingSteps(config).catch(unlessItIsRefused);
    if (pending?.length === 0) return true;
  }
  return false;
}

/** A database that does not answer for a moment is looked at again. */
function unlessItIsRefused(error: unknown): undefined {
  if (asFailure(error).code === 'refused') throw error;
}
