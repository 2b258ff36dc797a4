import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { createServer } from 'node:net';
import { systemClock } from '../kernel/clock.ts';
import type { Store } from '../store/store.ts';
import type { OtherBackups } from './backup/others.ts';
import type { Address, Config, LoadedConfig } from './config.ts';
import { openDatabase, storageChoice } from './database.ts';
import { makeLog } from './log.ts';
import { openMetrics } from './metrics/metrics.ts';
import { schemaSource } from './metrics/schema.ts';
import { lookAtSchema } from './open-store.ts';
import { finishRestore } from './restore/finish.ts';
import { passSchemaGate } from './schema-gate.ts';
import { lockedFailure, prepareStateDir, removeState, stateFiles, tryLock, writeState } from './state-dir.ts';

/** What a person or a script needs to know of a server that has begun to serve. */
export interface Ready {
  readonly event: 'ready';
  readonly issuer: string;
  /** The public listener as this machine reaches it. */
  readonly url: string;
  /** The admin API over TCP; null where it does not listen. */
  readonly admin_url: string | null;
  readonly pid: number;
  readonly state_dir: string;
  /** Only when it has just been made: it cannot be shown again. */
  readonly admin_api_key?: string;
  /** The secret half of the key that opens backups; as above. */
  readonly recovery_key?: string;
  /** The same with all that a restore needs besides, as it is to be kept. */
  readonly recovery_sheet?: string;
  /** Only at the first start on a database: what its backup targets hold already. */
  readonly other_backups?: readonly OtherBackups[];
}

/**
 * Serves until `stop` is aborted, then drains within `server.shutdown_wait`.
 * Failures: `refused` when another process has the state directory, `configuration`, `unavailable`.
 */
export async function serve(
  loaded: LoadedConfig,
  stop: AbortSignal,
  announce: (ready: Ready) => void,
): Promise<void> {
  const config = await withPort(loaded);
  const { state_dir } = config;
  const log = makeLog(config.observability.logging);

  prepareStateDir(state_dir);
  using lock = tryLock(config);
  if (!lock) throw lockedFailure(state_dir);
  await finishRestore(config, { log });

  // What a killed server left behind must not pass for news of this one.
  removeState(state_dir, stateFiles.ready);
  const metrics = await openMetrics(config, { clock: systemClock, log });
  metrics.add((registry) => schemaSource(registry, () => lookAtSchema(storageChoice(config))));
  if (!(await passSchemaGate(config, { log, metrics }, stop))) return;
  const store = await openDatabase(config, log, metrics.meter);
  // Loaded only now, while the store's writer thread starts on another core.
  const { openListeners } = await import('./listeners.ts');
  const { url, adminUrl, firstApiKey, firstRecoveryKey, ...serving } = await openListeners(config, store, {
    log,
    metrics,
  });

  const ready: Ready = {
    event: 'ready',
    issuer: config.server.issuer,
    url,
    admin_url: adminUrl,
    pid: process.pid,
    state_dir,
  };
  const others = firstApiKey === undefined ? [] : await otherBackups(config, store);
  for (const other of others)
    log.warn({ ...other }, 'the backup target holds backups that this database has not made');
  writeState(state_dir, stateFiles.ready, `${JSON.stringify(ready)}\n`);
  announce({
    ...ready,
    ...(firstApiKey !== undefined && { admin_api_key: firstApiKey }),
    ...(firstRecoveryKey && {
      recovery_key: firstRecoveryKey.identity,
      recovery_sheet: firstRecoveryKey.sheet,
    }),
    ...(others.length > 0 && { other_backups: others }),
  });
  // Kept now and not at the end, which a killed server never sees: its next start is to be quick too.
  flushCompileCache();

  if (!stop.aborted) await once(stop, 'abort');
  removeState(state_dir, stateFiles.ready);
  await serving.stop();
}

async function otherBackups(config: Config, store: Store): Promise<readonly OtherBackups[]> {
  // What was restored comes out of one of them.
  if ((await store.deployment.get({})).restore_epoch > 0) return [];
  const { findOtherBackups } = await import('./backup/others.ts');
  return findOtherBackups(config);
}

/** With port 0, and an issuer that nobody has set, the issuer follows the port that the system gives. */
async function withPort({ config, origins }: LoadedConfig): Promise<Config> {
  const { address } = config.server;
  if (address.port !== 0 || origins.get('server.issuer')?.from !== 'default') return config;
  const port = await freePort(address);
  const server = { ...config.server, address: { ...address, port }, issuer: `http://localhost:${port}` };
  return { ...config, server };
}

async function freePort({ host }: Address): Promise<number> {
  const probe = createServer().listen({ host, port: 0 });
  await once(probe, 'listening');
  const bound = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof bound === 'object' && bound ? bound.port : 0;
}
