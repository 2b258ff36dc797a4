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

/** A unique key, a foreign key or a check says no. */
export function doesNotFit(cause: Error): Failure {
  return new Failure('conflict', 'The change does not fit what is stored.', {
    detail: cause.message,
    cause,
  });
}
