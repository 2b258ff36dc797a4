/** Snapshots of a PostgreSQL database; `snapshot-worker.ts` does the work. */
import type { Snapshot, SnapshotLoad, SnapshotRequest, TableTotal } from '../snapshot.ts';
import { fillDatabase, openSnapshot } from '../snapshot-client.ts';
import type { PostgresOptions } from './connect.ts';

const WORKER = new URL('./snapshot-worker.ts', import.meta.url);

/** Reads a migrated database from one moment, while others write. Failures: `refused`, `unavailable`, `interrupted`. */
export function readSnapshot(options: PostgresOptions, request: SnapshotRequest): Promise<Snapshot> {
  return openSnapshot(WORKER, options, request);
}

/**
 * Fills a migrated database that holds no rows; others wait for the tables meanwhile. Failures: `refused` when it holds
 * some, `invalid_input` when the parts do not make a whole database, `unavailable`, `interrupted`; nothing has changed then.
 */
export function loadSnapshot(options: PostgresOptions, load: SnapshotLoad): Promise<readonly TableTotal[]> {
  return fillDatabase(WORKER, options, load);
}
