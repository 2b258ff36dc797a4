/**
 * kernel: the few words that every room shares (errors, time, randomness, ids, bytes, log).
 * It imports nothing of ours and knows no protocol, no storage and no HTTP.
 */

/** Stable codes; `http/errors.ts` maps them to a status and `cli/exit-codes.ts` to an exit code. */
export type FailureCode =
  | 'invalid_input' // the caller sent something that can never work
  | 'unauthenticated' // nobody has proven who is calling
  | 'forbidden' // somebody has, and may not do this
  | 'not_found'
  | 'conflict' // it exists already, or changed meanwhile
  | 'rate_limited' // too many tries; `retryAfter` says when to come back
  | 'unavailable' // the database or another needed part does not answer; trying again may work
  | 'configuration' // the operator's settings cannot work
  | 'refused' // a guard stopped a dangerous step
  | 'interrupted' // stopped by a signal
  | 'failed' // it was done, and what came of it is not right; the answer says what
  | 'internal'; // our fault

/** Whether a code of the operating system (errno(3)) says that a disk, or somebody's share of it, is full. */
export function meansFull(code: unknown): boolean {
  return code === 'ENOSPC' || code === 'EDQUOT';
}

export interface FailureParts {
  /** For the log only: what exactly was seen. Never shown to the caller. */
  readonly detail?: string;
  /** What the reader can do next. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Seconds until another try makes sense (`rate_limited`, `unavailable`). */
  readonly retryAfter?: number;
}

/** An error of the domain: a code for programs, a sentence for people, a private detail for the log. */
export class Failure extends Error {
  readonly code: FailureCode;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfter: number | undefined;

  /** @param sentence what happened, safe to show to anybody */
  constructor(code: FailureCode, sentence: string, parts: FailureParts = {}) {
    super(sentence, { cause: parts.cause });
    this.name = 'Failure';
    this.code = code;
    this.detail = parts.detail;
    this.hint = parts.hint;
    this.retryAfter = parts.retryAfter;
  }
}

/** The failure itself, or `internal` around anything that was not meant to be thrown. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Failure('internal', 'Something went wrong on our side.', { detail, cause: error });
}
