import type { Snapshot, SnapshotLoad, SnapshotRequest, TableTotal } from '../snapshot.ts';
import type { Store } from '../store.ts';

/** A store on a database of its own. */
export interface OpenedStore {
  readonly store: Store;
  readSnapshot(request: SnapshotRequest): Promise<Snapshot>;
  loadSnapshot(load: SnapshotLoad): Promise<readonly TableTotal[]>;
  /** What snapshots have left behind: transactions, connections, files. */
  leftBySnapshots(): Promise<readonly string[]>;
  /** Closes the store and removes the database. */
  dispose(): Promise<void>;
}

/** A store whose database the test may hurt. */
export interface FragileStore extends OpenedStore {
  /** Can this engine go on reading while nobody can write? */
  readonly readsSurvive: boolean;
  /** Takes the database away until `healDatabase`. */
  breakDatabase(): Promise<void>;
  healDatabase(): Promise<void>;
  /** Cuts, once, every connection or thread through which the store writes. */
  killConnections(): Promise<void>;
}

/** What a driver gives to be held to the suite. Every database it opens is empty and migrated. */
export interface Harness {
  open(): Promise<OpenedStore>;
  openFragile(): Promise<FragileStore>;
}
