import { sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import { sourceNetwork } from '../kernel/network.ts';
import type { LoginFailureStore } from '../store/store.ts';

export interface LockoutOptions {
  /** Failures of one account from one source that lock it. */
  readonly limit: number;
  /** ms within which failures add up. */
  readonly window: number;
  /** ms that a lock lasts. */
  readonly lockout: number;
}

/** A source that fails this many times as often as one account may, whatever the accounts, is locked itself. */
const ACCOUNTS_OF_A_SOURCE = 10;

/** Counts failed sign-ins in the store, so that a lock holds on every instance and survives a restart. */
export class Lockout {
  readonly #store: LoginFailureStore;
  readonly #clock: Clock;
  readonly #options: LockoutOptions;

  constructor(parts: { store: LoginFailureStore; clock: Clock; options: LockoutOptions }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#options = parts.options;
  }

  /** Seconds until this account may be tried again from this source; 0 when it may be tried now. */
  async lockedFor(account: string, source: string): Promise<number> {
    const now = this.#clock.now();
    const ids = [accountId(account, source), sourceId(source)];
    return secondsUntil(await this.#store.lockedUntil({ ids, now }), now);
  }

  /** Counts a failure; answers the seconds of the lock that it met or caused, 0 for none. */
  async count(account: string, source: string): Promise<number> {
    const { limit, window, lockout } = this.#options;
    const now = this.#clock.now();
    const ids = [
      { id: accountId(account, source), limit },
      { id: sourceId(source), limit: limit * ACCOUNTS_OF_A_SOURCE },
    ];
    const { locked_until } = await this.#store.count({ ids, now, window, lockout });
    return secondsUntil(locked_until, now);
  }

  /** Forgets the account's failures. Those of the source stay: one account of one's own must not wash it clean. */
  async clear(account: string, source: string): Promise<void> {
    await this.#store.clear({ ids: [accountId(account, source)] });
  }
}

function accountId(account: string, source: string): string {
  return sha256(JSON.stringify(['account', account, sourceNetwork(source)]));
}

function sourceId(source: string): string {
  return sha256(JSON.stringify(['source', sourceNetwork(source)]));
}

function secondsUntil(end: number | null, now: number): number {
  return end === null || end <= now ? 0 : Math.ceil((end - now) / 1000);
}
