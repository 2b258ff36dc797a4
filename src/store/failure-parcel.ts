import { asFailure, Failure, type FailureCode } from '../kernel/errors.ts';

/** A failure as it travels between threads, which would make a plain error of it. */
export interface FailureParcel {
  readonly code: FailureCode;
  readonly sentence: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfter: number | undefined;
}

export function packFailure(error: unknown): FailureParcel {
  const { code, message, detail, hint, retryAfter } = asFailure(error);
  return { code, sentence: message, detail, hint, retryAfter };
}

export function unpackFailure({ code, sentence, detail, hint, retryAfter }: FailureParcel): Failure {
  return new Failure(code, sentence, { detail, hint, retryAfter });
}
