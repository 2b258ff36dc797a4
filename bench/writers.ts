/** The writes that go on beside a chore, and what they notice of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StorageChoice } from '../src/app/open-store.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { makeIds } from '../src/kernel/ids.ts';
import { systemRandom } from '../src/kernel/random.ts';
import type { Store } from '../src/store/store.ts';
import { walBytes } from './arena.ts';

/** How long they waited, ms. */
export interface Waits {
  readonly writes: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

export const WRITES_A_SECOND = 200;
/** A write that fails for longer than any statement takes has another reason, ms. */
const LOST_PATIENCE = 600_000;

export interface Beside<Result> {
  readonly result: Result;
  readonly seconds: number;
  readonly waits: Waits;
  /** The most that the write-ahead log of SQLite took, bytes; null where the engine keeps its own. */
  readonly wal: number | null;
}

/** Does the chore while the store is written to; the writes end with it, however it ends. */
export async function besideWrites<Result>(
  { store, storage }: { readonly store: Store; readonly storage: StorageChoice },
  chore: () => Promise<Result>,
): Promise<Beside<Result>> {
  let wal = walBytes(storage);
  const watch = setInterval(() => {
    if (wal !== null) wal = Math.max(wal, walBytes(storage) ?? 0);
  }, 20);
  const writers = new Writers(store);
  const began = performance.now();
  try {
    const result = await chore();
    const seconds = (performance.now() - began) / 1000;
    return { result, seconds, waits: await writers.stop(), wal };
  } finally {
    await writers.stop();
    clearInterval(watch);
  }
}

/** Writes at a steady rate, each a token that is recorded; a wait counts from the moment at which the write was due. */
class Writers {
  readonly #waits: number[] = [];
  readonly #done: Promise<unknown>;
  #stopped = false;

  constructor(store: Store) {
    this.#done = this.#go(store);
  }

  async #go(store: Store): Promise<void> {
    const began = performance.now();
    const underway: Promise<void>[] = [];
    const ids = makeIds(systemClock, systemRandom);
    for (let n = 0; !this.#stopped; n++) {
      const due = began + (n * 1000) / WRITES_A_SECOND;
      const early = due - performance.now();
      if (early > 0) await sleep(early);
      underway.push(this.#write(store, ids.next('at'), due));
    }
    await Promise.all(underway);
  }

  async #write(store: Store, jti: string, due: number): Promise<void> {
    const now = Date.now();
    const issuance = {
      ...{ jti, family_id: null, user_id: null, client_id: 'bench', kid: 'key' },
      ...{ issued_at: now, expires_at: now + 3_600_000, revoked_at: null },
    };
    for (;;) {
      try {
        await store.issuances.record({ issuance });
        break;
      } catch (error) {
        // Behind a statement that is long SQLite says for a while that it is locked.
        if (performance.now() - due > LOST_PATIENCE) throw error;
        await sleep(10);
      }
    }
    this.#waits.push(performance.now() - due);
    await store.issuances.findLive({ jti, now });
  }

  async stop(): Promise<Waits> {
    this.#stopped = true;
    await this.#done;
    return summarize(this.#waits);
  }
}

export function summarize(all: readonly number[]): Waits {
  const waits = [...all].sort((a, b) => a - b);
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0;
  return { writes: waits.length, p50: at(0.5), p99: at(0.99), longest: at(1) };
}
