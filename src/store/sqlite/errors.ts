import { Failure } from '../../kernel/errors.ts';

/** Primary result codes (sqlite.org/rescode.html) after which the same request may work again. */
const PASSING = new Map([
  [5, 'busy'],
  [6, 'locked'],
  [7, 'out of memory'],
  [8, 'read-only'],
  [10, 'I/O error'],
  [11, 'corrupt'],
  [13, 'disk full'],
  [14, 'cannot open'],
  [26, 'not a database'],
]);
const CONSTRAINT = 19;

/** SQLite's error as one of ours; anything else comes back as it is. */
export function fromSqlite(error: unknown): unknown {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  if (typeof code !== 'number' || !(error instanceof Error)) return error;
  const passing = PASSING.get(code & 0xff);
  if (passing) return databaseUnavailable(`SQLite says ${passing} (${code}): ${error.message}`, error);
  if ((code & 0xff) === CONSTRAINT) {
    return new Failure('conflict', 'The change does not fit what is stored.', {
      detail: error.message,
      cause: error,
    });
  }
  return error;
}

export function databaseUnavailable(detail: string, cause?: unknown): Failure {
  return new Failure('unavailable', 'The database does not answer at the moment.', {
    detail,
    cause,
    retryAfter: 1,
    hint: 'Try again in a moment. /ready and the log of the server name the reason.',
  });
}
