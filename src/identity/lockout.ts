import { isIPv6 } from 'node:net';
import { sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import type { LoginFailureStore } from '../store/store.ts';

export interface LockoutOptions {
  /** Failures of one account from one source that lock it. */
  readonly limit?: number;
  /** Failures of one source, whatever the account, that lock the source. */
  readonly sourceLimit?: number;
  /** ms within which failures add up. */
  readonly window?: number;
  /** ms that a lock lasts. */
  readonly lockout?: number;
}

/** Counts failed sign-ins in the store, so that a lock holds on every instance and survives a restart. */
export class Lockout {
  readonly #store: LoginFailureStore;
  readonly #clock: Clock;
  readonly #options: Required<LockoutOptions>;

  constructor(parts: { store: LoginFailureStore; clock: Clock; options?: LockoutOptions }) {
    const { limit = 10, window = 10 * 60_000, lockout = 15 * 60_000 } = parts.options ?? {};
    const { sourceLimit = limit * 10 } = parts.options ?? {};
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#options = { limit, sourceLimit, window, lockout };
  }

  /** Seconds until this account may be tried again from this source; 0 when it may be tried now. */
  async lockedFor(account: string, source: string): Promise<number> {
    const now = this.#clock.now();
    const ids = [accountId(account, source), sourceId(source)];
    return secondsUntil(await this.#store.lockedUntil({ ids, now }), now);
  }

  /** Counts a failure; answers the seconds of the lock that it met or caused, 0 for none. */
  async count(account: string, source: string): Promise<number> {
    const { limit, sourceLimit, window, lockout } = this.#options;
    const now = this.#clock.now();
    const ids = [
      { id: accountId(account, source), limit },
      { id: sourceId(source), limit: sourceLimit },
    ];
    const { locked_until } = await this.#store.count({ ids, now, window, lockout });
    return secondsUntil(locked_until, now);
  }

  /** Forgets the account's failures. Those of the source stay: one account of one's own must not wash it clean. */
  async clear(account: string, source: string): Promise<void> {
    await this.#store.clear({ ids: [accountId(account, source)] });
  }
}

/** What counts as one source: an IPv4 address, or the /64 that one IPv6 subscriber has to itself (RFC 6177). */
export function sourceNetwork(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped) return mapped;
  const [plain = ''] = address.split('%');
  if (!isIPv6(plain)) return address;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail ? tail.split(':') : [];
  const groups =
    tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
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
