/** What both engines' errors become. */
import { Failure } from '../../kernel/errors.ts';

/** The same request may work in a moment. What a write did is unknown only where its commit was under way. */
export function databaseUnavailable(detail: string, cause?: unknown): Failure {
  return new Failure('unavailable', 'The database does not answer at the moment.', {
    detail,
    cause,
    retryAfter: 1,
    hint: 'Try again in a moment. The log of the server names the reason.',
  });
}

/** What was committed is on the disk; what would have been written now is not. */
export function databaseFull(detail: string, cause?: unknown): Failure {
  return new Failure('unavailable', 'There is no room left for the database.', {
    detail,
    cause,
    retryAfter: 60,
    hint: 'Make room on its disk, then try again. Nothing that was stored is lost.',
  });
}

/** A unique key, a foreign key or a check says no. */
export function doesNotFit(cause: Error): Failure {
  return new Failure('conflict', 'The change does not fit what is stored.', {
    detail: cause.message,
    cause,
  });
}
