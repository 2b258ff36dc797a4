import { Failure } from '../../kernel/errors.ts';
import { databaseFull, databaseUnavailable, doesNotFit } from '../sql/failures.ts';

/** SQLSTATE classes after which the same request may work again (PostgreSQL appendix A). */
const PASSING_CLASSES = new Set(['08', '25', '28', '3D', '40', '53', '57', '58']);
/** What the operating system or the client library says, without an SQLSTATE, of a connection that is no good. */
const LOST_ERRNO = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);
const LOST_TEXT =
  /connection terminated|timeout exceeded when trying to connect|query read timeout|client was closed|not queryable|connection ended|after calling end on the pool/i;
const DISK_FULL = '53100';
/** Unique, foreign key, check. */
const CONFLICTS = new Set(['23505', '23503', '23514']);
/** Text that PostgreSQL cannot hold: U+0000. */
const UNSTORABLE = new Set(['22021', '22P05']);
/** Serialization failure and deadlock: the loser was undone and may simply try again. */
const LOST_RACE = new Set(['40001', '40P01']);

/** PostgreSQL's error as one of ours; anything else comes back as it is. */
export function fromPostgres(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Failure) return error;
  const code = codeOf(error);
  if (CONFLICTS.has(code)) return doesNotFit(error);
  if (UNSTORABLE.has(code)) {
    return new Failure('invalid_input', 'The text contains a character that cannot be stored.', {
      detail: error.message,
      cause: error,
    });
  }
  if (code === DISK_FULL) return databaseFull(`PostgreSQL says: ${error.message}`, error);
  const passing =
    isLost(error) || isStalePlan(error) || (code.length === 5 && PASSING_CLASSES.has(code.slice(0, 2)));
  if (!passing) return error;
  return databaseUnavailable(`PostgreSQL says ${code || 'nothing'}: ${error.message}`, error);
}

/** The unit of work was undone through no fault of its own. */
export function isRetryable(error: unknown): boolean {
  return error instanceof Error && (LOST_RACE.has(codeOf(error)) || isStalePlan(error));
}

/** The connection must not be used again. */
export function spoilsConnection(error: unknown): boolean {
  return error instanceof Error && (isLost(error) || isStalePlan(error));
}

function isLost(error: Error): boolean {
  return LOST_ERRNO.has(codeOf(error)) || LOST_TEXT.test(error.message);
}

/** A statement was prepared before a migration gave its table another column; only a new connection prepares it anew. */
function isStalePlan(error: Error): boolean {
  return codeOf(error) === '0A000' && error.message.includes('cached plan');
}

function codeOf(error: Error): string {
  return String((error as { code?: unknown }).code ?? '');
}
