import type { FastifyInstance } from 'fastify';
import { drain } from '../http/server.ts';
import type { Log } from '../kernel/log.ts';
import { RotationSchedule } from '../ops/rotate.ts';
import type { Store } from '../store/store.ts';
import { adminApiKey, makeAdminServer } from './admin-server.ts';
import { forgetAdminSocket, listenOnAdminSocket } from './admin-socket.ts';
import { backupHealth } from './backup/health.ts';
import { makeFirstRecoveryKey } from './backup/identity.ts';
import { backupOnSchedule } from './backup/scheduled.ts';
import { openRooms, type Rooms } from './compose.ts';
import type { Config } from './config.ts';
import { missingSteps } from './database.ts';
import { drillHealth, drillOnSchedule } from './drill/scheduled.ts';
import { makeHealth, opsHealth } from './health.ts';
import { listen } from './listener.ts';
import { backupSource } from './metrics/backup.ts';
import { databaseSource } from './metrics/database.ts';
import { drillSource } from './metrics/drill.ts';
import { keySource, measureCustody } from './metrics/keys.ts';
import type { Metrics } from './metrics/metrics.ts';
import { pointInTimeSource } from './metrics/point-in-time.ts';
import { purgeSource } from './metrics/purge.ts';
import { pointInTimeHealth } from './pgbackrest/health.ts';
import { makePublicServer } from './public-server.ts';
import { purgeOnSchedule } from './purge.ts';
import { shipLog } from './recovery/ship.ts';

/** A server that serves, until it is stopped. */
export interface Serving {
  /** The public listener as this machine reaches it. */
  readonly url: string;
  /** The admin API over TCP; null where it does not listen. */
  readonly adminUrl: string | null;
  /** The key of the admin API when it has just been made. */
  readonly firstApiKey: string | undefined;
  /** The key that opens backups, and its sheet, when it has just been made. */
  readonly firstRecoveryKey: { readonly identity: string; readonly sheet: string } | undefined;
  /** Stops accepting, finishes requests under way for as long as the settings allow, and closes everything. */
  stop(): Promise<void>;
}

/** How often the keys are looked after, ms; well within the time that a view of them may be used. */
const KEY_TICK = 5000;

/** Builds everything on an open store, which is closed with it as the metrics are, and listens. */
export async function openListeners(
  config: Config,
  store: Store,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): Promise<Serving> {
  await using undo = new AsyncDisposableStack();
  const stopping = new AbortController();
  const rooms = await openRooms(config, store, log, { stopping: stopping.signal, metrics });
  undo.defer(() => rooms.close());
  undo.use(lookAfterKeys(rooms));
  undo.use(purgeOnSchedule(rooms));

  const { clock, keyring } = rooms;
  const backups = undo.use(backupOnSchedule(rooms));
  undo.use(drillOnSchedule(rooms));
  const keysMade = Promise.withResolvers<void>();
  const shippedLog = undo.use(
    shipLog(rooms, {
      onNewChain: () => backups.askNow('the recovery log begins anew'),
      after: keysMade.promise,
    }),
  );
  // A start that fails before has nothing to wait for.
  undo.defer(() => keysMade.resolve());
  const health = {
    ...makeHealth({
      store: store.health,
      keyring,
      pendingSteps: () => missingSteps(config),
      clock,
      log,
    }),
    ops: opsHealth(
      {
        backup: () => backupHealth(config, store, clock),
        drill: () => drillHealth(config, store, clock),
        ...(config.storage.driver === 'postgres' && {
          recovery: () => pointInTimeHealth(config, store.settings),
        }),
        ...(shippedLog && { log: async () => shippedLog.check() }),
      },
      { clock, log },
    ),
  };
  measureCustody(metrics.meter, rooms.custody);
  metrics.add((registry) => keySource(registry, keyring, clock));
  metrics.add((registry) => databaseSource(registry, health));
  metrics.add((registry) => purgeSource(registry, rooms));
  if (config.storage.driver === 'postgres') {
    metrics.add((registry) => pointInTimeSource(registry, config, store.settings));
  }
  metrics.add((registry) => backupSource(registry, rooms));
  metrics.add((registry) => drillSource(registry, rooms));
  const apps: FastifyInstance[] = [];
  const open = (app: FastifyInstance) => {
    undo.defer(() => app.close());
    apps.push(app);
    return app;
  };
  undo.defer(() => forgetAdminSocket(config.state_dir));
  await listenOnAdminSocket(open(makeAdminServer(rooms, 'socket', health)), config.state_dir);
  const adminUrl = config.admin.enabled
    ? await listen(open(makeAdminServer(rooms, 'tcp', health)), config.admin.address, 'admin.address')
    : null;
  const url = await listen(open(makePublicServer(rooms, health)), config.server.address, 'server.address');
  // Last of all: they are shown once, and a start that failed behind them (a port that is taken) would have shown them to nobody.
  const firstApiKey = await adminApiKey(rooms).makeFirst();
  const firstRecoveryKey = await makeFirstRecoveryKey(config, store, rooms);
  keysMade.resolve();

  // Before anything is closed, so that the last push does not tell of a server that cannot sign.
  undo.defer(() => metrics.close());
  const opened = undo.move();
  const stop = async () => {
    stopping.abort();
    await drainAll(apps, config.server.shutdown_wait, log);
    await opened.disposeAsync();
  };
  return { url, adminUrl, firstApiKey, firstRecoveryKey, stop };
}

async function drainAll(apps: readonly FastifyInstance[], patience: number, log: Log): Promise<void> {
  log.info({}, 'stopping: requests under way are finished');
  const finished = await Promise.all(apps.map((app) => drain(app, patience)));
  if (!finished.every(Boolean)) log.warn({ patience }, 'some requests took too long and were cut off');
}

/**
 * Promotes, retires and replaces keys when their time has come; SIGHUP makes it happen now. What another server changes is
 * read as soon as the database tells of it.
 */
function lookAfterKeys({ keyring, store, audit, clock, ids, log }: Rooms): Disposable {
  const schedule = new RotationSchedule({ keyring, leases: store.leases, audit, clock, ids, log });
  const tick = () => void keyring.tick().then(() => schedule.tick());
  const timer = setInterval(tick, KEY_TICK).unref();
  process.on('SIGHUP', tick);
  // Trouble is told by the next tick.
  const watching = store.watch('signing_keys', () => void keyring.reload().catch(() => undefined));
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      process.off('SIGHUP', tick);
      watching[Symbol.dispose]();
    },
  };
}
