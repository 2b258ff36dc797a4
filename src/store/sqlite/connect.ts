import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { ChangeLogOptions } from './change-log.ts';

export interface SqliteOptions {
  readonly path: string;
  readonly wal: boolean;
  /** Where what a store commits is logged; without it the recovery log of the database ends with its first commit. */
  readonly changeLog?: ChangeLogOptions;
}

/** How long, ms, a request waits for a lock that somebody outside holds before it fails with 503. */
export const LOCK_PATIENCE = 2000;

/** What the write-ahead log is cut back to, bytes, once a reader that held it up lets go: its size tells how long it is now. */
const LOG_KEPT = 16 * 2 ** 20;

/** A connection that writes. FULL: a commit is on disk before it is answered, whatever is pulled. */
export function connectWriter({ path, wal }: SqliteOptions): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: LOCK_PATIENCE, enableForeignKeyConstraints: true });
  db.exec(`pragma journal_mode = ${wal ? 'wal' : 'delete'}`);
  db.exec('pragma synchronous = full');
  db.exec(`pragma journal_size_limit = ${LOG_KEPT}`);
  return db;
}

/**
 * A connection that looks at what there is, if there is anything, and leaves it as it is. `readOnly` would not: it leaves files
 * beside a database in WAL mode.
 */
export function connectOnlooker({ path }: Pick<SqliteOptions, 'path'>): DatabaseSync {
  return new DatabaseSync(existsSync(path) ? path : ':memory:', { timeout: LOCK_PATIENCE });
}

/**
 * The connection that reads; it lives on the main thread, where a point read is cheaper than a message. It never waits for
 * a lock by itself, for that would stop the event loop.
 */
export function connectReader({ path }: SqliteOptions): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: 0 });
}
