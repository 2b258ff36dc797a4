import { Failure } from '../../kernel/errors.ts';

/** SQLSTATE classes after which the same request may work again (PostgreSQL appendix A). */
const PASSING_CLASSES = new Set(['08', '53', '57', '58', '25', '3D', '28']);
const PASSING_ERRNO = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EHOSTUNREACH',
]);
const PASSING_TEXT =
  /connection terminated|timeout exceeded when trying to connect|client was closed|not queryable|connection ended/i;
const CONFLICTS = new Set(['23505', '23503', '23514']);
/** Serialization failure and deadlock: the loser may simply try again. */
const RETRYABLE = new Set(['40001', '40P01']);

/** PostgreSQL's error as one of ours; anything else comes back as it is. */
export function fromPostgres(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Failure) return error;
  const code = String((error as { code?: unknown }).code ?? '');
  if (CONFLICTS.has(code)) {
    return new Failure('conflict', 'The change does not fit what is stored.', {
      detail: error.message,
      cause: error,
    });
  }
  const passing =
    PASSING_ERRNO.has(code) ||
    RETRYABLE.has(code) ||
    (code.length === 5 && PASSING_CLASSES.has(code.slice(0, 2))) ||
    PASSING_TEXT.test(error.message);
  if (!passing) return error;
  return new Failure('unavailable', 'The database does not answer at the moment.', {
    detail: `PostgreSQL says ${code || 'nothing'}: ${error.message}`,
    cause: error,
    retryAfter: 1,
    hint: 'Try again in a moment. /ready and the log of the server name the reason.',
  });
}

export function isRetryable(error: unknown): boolean {
  return RETRYABLE.has(String((error as { code?: unknown } | null)?.code ?? ''));
}
