/** The recovery log of this installation, shipped while a server serves. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asFailure } from '../../kernel/errors.ts';
import type { LogShipper } from '../../ops/recovery/shipper.ts';
import { PACE, type SeenChain, type ShippingPace } from '../../ops/recovery/shipping.ts';
import { spoolFolder } from '../../store/change-spool.ts';
import { openBackupIdentity } from '../backup/identity.ts';
import type { Rooms } from '../compose.ts';
import { isLogged } from '../database.ts';
import type { Check } from '../health.ts';

export interface RecoveryHealth {
  readonly ok: boolean;
  /** Of the target that is furthest behind. */
  readonly lag_seconds: number;
  /** The chain that is written now; null until it is known. */
  readonly chain: string | null;
  readonly problem?: string;
}

/** The log on its way to the targets, until it is disposed of. */
export interface ShippedLog extends AsyncDisposable {
  health(): RecoveryHealth;
  /** The same as `/ready?ops` tells it. */
  check(): Check;
}

export interface ShipOptions {
  /** There is no backup that the log could take forward: until there is one, no moment can be restored. */
  readonly onNewChain?: (chain: SeenChain) => void;
  /** When there is a key to encrypt to: a first start makes it last of all. */
  readonly after?: Promise<void>;
  readonly pace?: Partial<ShippingPace>;
  /** ms; for tests, which cannot wait as long. */
  readonly baseAfter?: number;
}

const FAULTS = 'authserver_recovery_log_faults_total';
const SHIPPED = 'authserver_recovery_log_shipped_bytes_total';
/** How long a chain waits for a backup that somebody makes, ms. */
const BASE_AFTER = 30_000;

/**
 * Ships the log to all backup targets; on PostgreSQL, whose own log is shipped by other means, what was taken away only.
 * Undefined where the settings say no.
 */
export function shipLog(
  rooms: Pick<Rooms, 'config' | 'store' | 'clock' | 'random' | 'ids' | 'log' | 'meter'>,
  {
    onNewChain = () => undefined,
    after = Promise.resolve(),
    pace = {},
    baseAfter = BASE_AFTER,
  }: ShipOptions = {},
): ShippedLog | undefined {
  const { config } = rooms;
  if (config.recovery.log === false) return undefined;
  const stop = new AbortController();
  const chainSeen = (chain: SeenChain) =>
    void callWithoutBase(rooms, chain, { onNewChain, baseAfter }, stop.signal);
  const starting = after.then(() =>
    start(rooms, { chainSeen, pace: { interval: config.recovery.interval, ...pace } }),
  );
  let running: Shipping | 'starting' | 'failed' = 'starting';
  starting.then(
    (shipping) => {
      running = shipping;
      measure(rooms, shipping);
    },
    (error: unknown) => {
      const { message, detail = message, hint } = asFailure(error);
      rooms.log.error({ detail, hint }, 'the recovery log is not shipped');
      running = 'failed';
    },
  );
  return {
    health: () => healthOf(running, config.recovery.max_lag),
    check() {
      const { problem } = healthOf(running, config.recovery.max_lag);
      return problem === undefined ? { ok: true } : { ok: false, problem };
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await starting.then((shipping) => shipping[Symbol.asyncDispose]()).catch(() => undefined);
    },
  };
}

/**
 * Says so when the chain still has no backup after a while: a server that has just started has other things to do, and a
 * chain that ends at once needs none.
 */
async function callWithoutBase(
  rooms: Pick<Rooms, 'config' | 'store' | 'clock' | 'log'>,
  chain: SeenChain,
  { onNewChain, baseAfter }: Required<Pick<ShipOptions, 'onNewChain' | 'baseAfter'>>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await sleep(baseAfter, undefined, { signal, ref: false });
    const { hasBase } = await import('./base.ts');
    if (await hasBase(rooms, chain, signal)) return;
    rooms.log.warn({ ...chain }, 'the recovery log has begun anew: it needs a backup made from now on');
    onNewChain(chain);
  } catch (error) {
    if (signal.aborted) return;
    const { message, detail = message } = asFailure(error);
    rooms.log.error({ ...chain, detail }, 'nobody knows whether the recovery log has a backup');
  }
}

type Shipping = Pick<LogShipper, 'chain' | 'states'> & AsyncDisposable;

/** Loaded once the server serves: its start is not to wait for what encrypts. */
async function start(
  { config, store, clock, random, ids, log, meter }: Parameters<typeof shipLog>[0],
  { chainSeen, pace }: { chainSeen: (chain: SeenChain) => void; pace: Partial<ShippingPace> },
): Promise<Shipping> {
  const [{ LogShipper }, { RevocationFeed }, { openPlaces }] = await Promise.all([
    import('../../ops/recovery/shipper.ts'),
    import('../../ops/recovery/revocation-feed.ts'),
    import('../backup/places.ts'),
  ]);
  const places = await openPlaces(config, clock);
  const parts = {
    shelves: places.map(({ target, shelf }) => ({ name: target.name, shelf })),
    store,
    identity: () => openBackupIdentity(config, store, random, clock),
    clock,
    random,
    log,
    pace: { ...PACE, ...pace },
    events: {
      chainSeen,
      chainBroke: (target: string) => meter.counter(FAULTS, { target }).add(),
      shipped: (target: string, bytes: number) => meter.counter(SHIPPED, { target }).add(bytes),
    },
  };
  if (!isLogged(config)) return new RevocationFeed({ ...parts, ids });
  return new LogShipper({ ...parts, folder: spoolFolder(config.storage.sqlite.path) });
}

/** On PostgreSQL the lag of the database itself is somebody else's to tell. */
function measure({ config, meter }: Pick<Rooms, 'config' | 'meter'>, shipping: Shipping): void {
  for (const { shelf } of shipping.states()) {
    const lag = () => (shipping.states().find((one) => one.shelf === shelf)?.lag ?? 0) / 1000;
    meter.gauge('authserver_recovery_target_lag_seconds', lag, { target: shelf });
    // Series that are there from the start: what comes to one later is seen to grow.
    for (const name of [FAULTS, SHIPPED]) meter.counter(name, { target: shelf });
  }
  if (!isLogged(config)) return;
  const health = () => healthOf(shipping, config.recovery.max_lag);
  meter.gauge('authserver_recovery_lag_seconds', () => health().lag_seconds);
  meter.gauge('authserver_recovery_ready', () => (health().ok ? 1 : 0));
}

function healthOf(shipping: Shipping | 'starting' | 'failed', maxLag: number): RecoveryHealth {
  if (shipping === 'starting') return { ok: true, lag_seconds: 0, chain: null };
  if (shipping === 'failed') {
    return { ok: false, lag_seconds: 0, chain: null, problem: 'the recovery log is not shipped' };
  }
  const states = shipping.states();
  const lag = Math.max(0, ...states.map((state) => state.lag));
  const late = states.filter((state) => isLate(state.lag, maxLag)).map(({ shelf }) => shelf);
  const health = { ok: late.length === 0, lag_seconds: lag / 1000, chain: shipping.chain ?? null };
  if (late.length === 0) return health;
  return { ...health, problem: `the recovery log does not reach ${late.join(', ')}` };
}

/** Whether a target that lacks a commit of that age counts as one that the log does not reach. Both in ms. */
export function isLate(lag: number, maxLag: number): boolean {
  return lag > maxLag;
}
