import { DatabaseSync } from 'node:sqlite';

export interface SqliteOptions {
  readonly path: string;
  readonly wal: boolean;
}

/** How long, ms, a connection waits for a lock that somebody outside holds before the request fails with 503. */
const BUSY_TIMEOUT = 2000;

/** A connection that writes. FULL: a commit is on disk before it is answered, whatever is pulled. */
export function connectWriter({ path, wal }: SqliteOptions): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT, enableForeignKeyConstraints: true });
  db.exec(`pragma journal_mode = ${wal ? 'wal' : 'delete'}`);
  db.exec('pragma synchronous = full');
  return db;
}

/** The connection that reads; it lives on the main thread, where a point read is cheaper than a message. */
export function connectReader({ path }: SqliteOptions): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT });
}
