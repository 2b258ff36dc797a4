/**
 * ops: the day-2 verbs, each planned before it runs: purge, rotation, backup, restore. It owns how a chore is done while
 * people sign in; it must not know HTTP, the protocol, or how a command is typed.
 */
import type { Clock } from '../kernel/clock.ts';
import type { Ids } from '../kernel/ids.ts';
import type { LeaseRecord } from '../store/records.ts';
import type { LeaseStore } from '../store/store.ts';

/** What a lease is taken with. */
export interface LeaseParts {
  readonly leases: LeaseStore;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Where this process runs, for whoever finds the lease taken. */
  readonly runner?: string;
}

export type Leased<T> =
  | { readonly outcome: 'done'; readonly value: T }
  /** Somebody else does it now; undefined when they let go while we asked. */
  | { readonly outcome: 'held'; readonly by: LeaseRecord | undefined };

/** How long, ms, a lease outlives a holder that died. */
export const LEASE_TERM = 60_000;
/** How often a holder says that it lives, ms: it may miss two beats. */
const HEARTBEAT = LEASE_TERM / 4;

/**
 * Does `work` while this deployment has nobody else who does it. `lost` is aborted when the lease went to another after all
 * (this process slept, or could not reach the database): stop then, before the next write.
 */
export async function underLease<T>(
  { leases, clock, ids, runner }: LeaseParts,
  name: string,
  work: (lost: AbortSignal) => Promise<T>,
): Promise<Leased<T>> {
  const run = ids.next('run');
  const holder = runner === undefined ? run : `${runner}, ${run}`;
  const now = clock.now();
  const lease = { name, holder, acquired_at: now, held_until: now + LEASE_TERM };
  const taken = await leases.acquire({ lease });
  if (taken.outcome === 'held') return taken;

  const lost = new AbortController();
  const beat = async () => {
    const renewed = await leases
      .renew({ name, holder, held_until: clock.now() + LEASE_TERM })
      .catch(() => undefined);
    if (renewed?.outcome === 'lost') lost.abort();
  };
  const heart = setInterval(() => void beat(), HEARTBEAT).unref();
  try {
    return { outcome: 'done', value: await work(lost.signal) };
  } finally {
    clearInterval(heart);
    // Who dies here leaves a lease that runs out by itself.
    await leases.release({ name, holder }).catch(() => undefined);
  }
}
