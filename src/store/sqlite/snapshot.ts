/** Snapshots of an SQLite database; `snapshot-worker.ts` does the work. */
import type { Snapshot, SnapshotLoad, SnapshotRequest, TableTotal } from '../snapshot.ts';
import { fillDatabase, openSnapshot } from '../snapshot-client.ts';
import type { SqliteOptions } from './connect.ts';

const WORKER = new URL('./snapshot-worker.ts', import.meta.url);

/**
 * Reads a migrated database from one moment, while others write; without a write-ahead log nobody can write until it is
 * done. Failures: `refused`, `unavailable`, `interrupted`.
 */
export function readSnapshot(options: SqliteOptions, request: SnapshotRequest): Promise<Snapshot> {
  return openSnapshot(WORKER, options, request);
}

/**
 * Fills a migrated database that holds no rows, and that nobody else has open. Failures: `refused` when it is not so,
 * `invalid_input` when the parts do not make a whole database, `unavailable`, `interrupted`; nothing has changed then.
 */
export function loadSnapshot(options: SqliteOptions, load: SnapshotLoad): Promise<readonly TableTotal[]> {
  return fillDatabase(WORKER, options, load);
}
