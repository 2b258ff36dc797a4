import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import { type Counter, silentMeter } from '../kernel/metrics.ts';
import { sourceNetwork } from '../kernel/network.ts';

export interface RateLimit {
  readonly requestsPerSecond: number;
  /** How many requests may come at once after a quiet time; at least 1. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** Beyond this many sources the full buckets are forgotten, then the oldest: memory stays bounded under a flood. */
const MAX_SOURCES = 50_000;

/** A token bucket a source, in the memory of this process. */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #refused: Counter;
  readonly #buckets = new Map<string, Bucket>();

  /** @param refused counts the requests that came too often */
  constructor(limit: RateLimit, clock: Clock, refused: Counter = silentMeter.counter('')) {
    this.#limit = limit;
    this.#clock = clock;
    this.#refused = refused;
  }

  /** Counts one request of a client's address; throws Failure `rate_limited` when it has come too often. */
  take(source: string): void {
    const bucket = this.#filled(sourceNetwork(source));
    if (bucket.tokens < 1) throw this.#refusal(bucket);
    bucket.tokens -= 1;
  }

  #filled(key: string): Bucket {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key);
    if (!bucket) return this.#open(key, now);
    bucket.tokens = this.#level(bucket, now);
    bucket.filledAt = now;
    return bucket;
  }

  #open(key: string, now: number): Bucket {
    if (this.#buckets.size >= MAX_SOURCES) this.#makeRoom(now);
    const bucket = { tokens: this.#limit.burst, filledAt: now };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #level(bucket: Bucket, now: number): number {
    // A clock that steps back must not take tokens away.
    const seconds = Math.max(0, now - bucket.filledAt) / 1000;
    return Math.min(this.#limit.burst, bucket.tokens + seconds * this.#limit.requestsPerSecond);
  }

  #makeRoom(now: number): void {
    for (const [key, bucket] of this.#buckets) {
      if (this.#level(bucket, now) >= this.#limit.burst) this.#buckets.delete(key);
    }
    for (const key of this.#buckets.keys()) {
      // A tenth at a time, so that a flood of sources does not pay for a sweep at every request.
      if (this.#buckets.size <= MAX_SOURCES * 0.9) return;
      this.#buckets.delete(key);
    }
  }

  #refusal(bucket: Bucket): Failure {
    this.#refused.add();
    const retryAfter = Math.max(1, Math.ceil((1 - bucket.tokens) / this.#limit.requestsPerSecond));
    return new Failure('rate_limited', 'Too many requests have come from your address.', {
      hint: `Wait ${retryAfter} s, then try again.`,
      retryAfter,
    });
  }
}
