import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Config } from './config.ts';
import { pendingFailure, pendingSteps, planDatabase } from './database.ts';
import { rememberDeployment } from './deployment.ts';
import type { Metrics } from './metrics/metrics.ts';

/** How often the schema is looked at while somebody else is to migrate it, ms. */
const LOOK_AGAIN = 1000;

/**
 * Resolves once the schema is up to date: at once, after migrating where the settings allow it, or when somebody else has
 * migrated. Until then the public listener answers `/livez`, and a `/ready` that names what is missing.
 * Failures: `refused` when a guard of the migration says no, or the database is another deployment's; `interrupted` when
 * `stop` comes first.
 */
export async function passSchemaGate(
  config: Config,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  stop: AbortSignal,
): Promise<void> {
  const { pending, deployment } = await planDatabase(config);
  if (pending.length === 0) return rememberDeployment(config.state_dir, deployment);
  const { mayMigrateAtStart, upgradeAtStart } = await import('./migrate.ts');
  if (await mayMigrateAtStart(config)) return upgradeAtStart(config, log, stop);
  return waitForMigration(config, { log, metrics }, stop);
}

async function waitForMigration(
  config: Config,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  stop: AbortSignal,
): Promise<void> {
  const failure = pendingFailure(await pendingSteps(config));
  log.warn({ hint: failure.hint }, failure.message);
  const { listenWhileWaiting } = await import('./public-server.ts');
  await using _waiting = await listenWhileWaiting(config, log, metrics);
  await untilMigrated(config, stop);
  rememberDeployment(config.state_dir, (await planDatabase(config)).deployment);
  log.info({}, 'the schema is up to date');
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
