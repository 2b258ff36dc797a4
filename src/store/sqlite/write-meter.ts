import { statSync } from 'node:fs';
import type { Histogram, Meter } from '../../kernel/metrics.ts';
import type { SqliteOptions } from './connect.ts';

/** Measures the way that writes go: how long they wait, and how they are committed. Costs a write one look at the clock. */
export class WriteMeter {
  readonly #meter: Meter;
  readonly #waits: Histogram;
  readonly #commits: Histogram;
  readonly #batches: Histogram;
  #sentAt = 0;

  /** @param waiting how many writes there are at the moment */
  constructor(meter: Meter, { path }: Pick<SqliteOptions, 'path'>, waiting: () => number) {
    this.#meter = meter;
    this.#waits = meter.histogram('authserver_sqlite_write_wait_seconds');
    this.#commits = meter.histogram('authserver_sqlite_commit_seconds');
    this.#batches = meter.histogram('authserver_sqlite_batch_size');
    meter.gauge('authserver_sqlite_write_queue_length', waiting);
    // Only looked up, never opened: closing a file of the database would drop the locks of its connections.
    meter.gauge('authserver_sqlite_wal_bytes', () => sizeOf(`${path}-wal`));
    meter.gauge('authserver_sqlite_database_bytes', () => sizeOf(path));
  }

  now(): number {
    return this.#meter.now();
  }

  /** @param firstSince when the first of the batch began to wait: the others came later */
  sent(batch: number, firstSince: number): void {
    this.#sentAt = this.now();
    this.#waits.observe((this.#sentAt - firstSince) / 1000);
    this.#batches.observe(batch);
  }

  committed(): void {
    this.#commits.observe((this.now() - this.#sentAt) / 1000);
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
