import { DatabaseSync } from 'node:sqlite';

export interface SqliteOptions {
  readonly path: string;
  readonly wal: boolean;
}

/** How long, ms, a request waits for a lock that somebody outside holds before it fails with 503. */
export const LOCK_PATIENCE = 2000;

/** A connection that writes. FULL: a commit is on disk before it is answered, whatever is pulled. */
export function connectWriter({ path, wal }: SqliteOptions): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: LOCK_PATIENCE, enableForeignKeyConstraints: true });
  db.exec(`pragma journal_mode = ${wal ? 'wal' : 'delete'}`);
  db.exec('pragma synchronous = full');
  return db;
}

/**
 * The connection that reads; it lives on the main thread, where a point read is cheaper than a message. It never waits for
 * a lock by itself, for that would stop the event loop.
 */
export function connectReader({ path }: SqliteOptions): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: 0 });
}
