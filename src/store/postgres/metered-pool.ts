import { Pool, type PoolClient, type PoolConfig } from 'pg';
import type { Histogram, Meter } from '../../kernel/metrics.ts';

type Connected = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: (release?: unknown) => void,
) => void;

/** A pool that tells how it stands, and how long each connection had to be waited for. */
export class MeteredPool extends Pool {
  readonly #meter: Meter;
  readonly #waits: Histogram;

  constructor(config: PoolConfig & { readonly max: number }, meter: Meter) {
    super(config);
    this.#meter = meter;
    this.#waits = meter.histogram('authserver_postgres_pool_wait_seconds');
    const state = (name: string) => ({ state: name });
    meter.gauge('authserver_postgres_pool_connections', () => this.idleCount, state('idle'));
    meter.gauge(
      'authserver_postgres_pool_connections',
      () => this.totalCount - this.idleCount,
      state('busy'),
    );
    meter.gauge('authserver_postgres_pool_max_connections', () => config.max);
    meter.gauge('authserver_postgres_pool_waiting', () => this.waitingCount);
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: Connected): void;
  // The pool's own `query` comes with a callback, transactions await a promise.
  override connect(callback?: Connected): Promise<PoolClient> | undefined {
    const from = this.#meter.now();
    const waited = () => this.#waits.observe((this.#meter.now() - from) / 1000);
    if (callback === undefined) return super.connect().finally(waited);
    super.connect((error, client, done) => {
      waited();
      callback(error, client, done);
    });
    return undefined;
  }
}
