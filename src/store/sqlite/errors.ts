import type { Failure } from '../../kernel/errors.ts';
import { databaseFull, databaseUnavailable, doesNotFit } from '../sql/failures.ts';

/** Primary result codes (sqlite.org/rescode.html) after which the same request may work again. */
const PASSING = new Map([
  [5, 'busy'],
  [6, 'locked'],
  [7, 'out of memory'],
  [8, 'read-only'],
  [10, 'I/O error'],
  [11, 'corrupt'],
  [14, 'cannot open'],
  [15, 'locking protocol'],
  [26, 'not a database'],
]);
const BUSY = 5;
const FULL = 13;
const CONSTRAINT = 19;

/** SQLite's error as one of ours; anything else comes back as it is. */
export function fromSqlite(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if ((error as { code?: unknown }).code === 'ERR_INVALID_STATE') {
    return databaseUnavailable('the store is closed', error);
  }
  const code = resultCode(error);
  if (isFull(error)) return full(error);
  const passing = PASSING.get(primary(code));
  if (passing) return databaseUnavailable(`SQLite says ${passing} (${code}): ${error.message}`, error);
  return primary(code) === CONSTRAINT ? doesNotFit(error) : error;
}

/** What the work answers, or its error as one of ours. */
export function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fromSqlite(error);
  }
}

/** Somebody else holds the lock. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && primary(resultCode(error)) === BUSY;
}

/** Whatever ended a batch before its commit was done: none of its verbs has happened. */
export function batchUndone(error: unknown): Failure {
  if (error instanceof Error && isFull(error)) return full(error);
  const reason = error instanceof Error ? error.message : String(error);
  return databaseUnavailable(`the batch of writes was not committed: ${reason}`, error);
}

function isFull(error: Error): boolean {
  return primary(resultCode(error)) === FULL;
}

function full(error: Error): Failure {
  return databaseFull(`SQLite says: ${error.message}`, error);
}

function resultCode(error: Error): number {
  return Number((error as { errcode?: unknown }).errcode ?? 0);
}

/** Extended result codes hold the primary one in their lowest byte. */
function primary(code: number): number {
  return code & 0xff;
}
