import type { Snapshot, SnapshotLoad, SnapshotRequest, TableTotal } from '../store/snapshot.ts';
import type { StorageChoice } from './open-store.ts';

/** Reads the whole database from one moment, while others write. Failures: `refused`, `unavailable`, `interrupted`. */
export async function readSnapshot(storage: StorageChoice, request: SnapshotRequest): Promise<Snapshot> {
  if (storage.driver === 'sqlite') {
    const { readSnapshot } = await import('../store/sqlite/snapshot.ts');
    return readSnapshot(storage.sqlite, request);
  }
  const { readSnapshot } = await import('../store/postgres/snapshot.ts');
  return readSnapshot(storage.postgres, request);
}

/** Fills a migrated database that holds no rows. Failures: `refused`, `invalid_input`, `unavailable`, `interrupted`. */
export async function loadSnapshot(
  storage: StorageChoice,
  load: SnapshotLoad,
): Promise<readonly TableTotal[]> {
  if (storage.driver === 'sqlite') {
    const { loadSnapshot } = await import('../store/sqlite/snapshot.ts');
    return loadSnapshot(storage.sqlite, load);
  }
  const { loadSnapshot } = await import('../store/postgres/snapshot.ts');
  return loadSnapshot(storage.postgres, load);
}
