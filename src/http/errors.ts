import { asFailure, Failure, type FailureCode, type FailureParts } from '../kernel/errors.ts';
import { json, type Outgoing } from './exchange.ts';
import { OAuthError, type OAuthErrorCode } from './oauth-error.ts';

// Importing node:http instead would also load what stands behind its re-exports: fetch, 14 MB and a tenth of the start.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** A failure of the HTTP exchange itself: it names its status, where other failures have one by their code. */
export class HttpFailure extends Failure {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    sentence: string,
    parts: FailureParts & { headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(status === 404 ? 'not_found' : 'invalid_input', sentence, parts);
    this.name = 'HttpFailure';
    this.status = status;
    this.headers = parts.headers ?? {};
  }
}

const OUTCOMES: Readonly<Record<FailureCode, readonly [status: number, oauth: OAuthErrorCode]>> = {
  invalid_input: [400, 'invalid_request'],
  unauthenticated: [401, 'invalid_client'],
  forbidden: [403, 'access_denied'],
  not_found: [404, 'invalid_request'],
  conflict: [409, 'invalid_request'],
  refused: [409, 'invalid_request'],
  rate_limited: [429, 'temporarily_unavailable'],
  unavailable: [503, 'temporarily_unavailable'],
  interrupted: [503, 'temporarily_unavailable'],
  configuration: [500, 'server_error'],
  failed: [500, 'server_error'],
  internal: [500, 'server_error'],
};

/** Seconds after which a failure that passes is worth another try, where it does not say itself. */
const RETRY_AFTER = 1;

/** The HTTP status of a failure. */
export function statusOf(failure: Failure): number {
  if (failure instanceof HttpFailure || failure instanceof OAuthError) return failure.status;
  return OUTCOMES[failure.code][0];
}

/** The headers that a failure asks for, `Retry-After` included. */
export function headersOf(failure: Failure): Readonly<Record<string, string>> {
  const own = failure instanceof HttpFailure || failure instanceof OAuthError ? failure.headers : {};
  const status = statusOf(failure);
  if (status !== 429 && status !== 503) return own;
  return { ...own, 'retry-after': String(Math.max(1, Math.ceil(failure.retryAfter ?? RETRY_AFTER))) };
}

/** What OAuth says of a failure, at whatever place (RFC 6749 sections 4.1.2.1 and 5.2). */
export function describeOAuthError(failure: Failure): { error: OAuthErrorCode; error_description: string } {
  const error = failure instanceof OAuthError ? failure.error : OUTCOMES[failure.code][1];
  return { error, error_description: descriptionOf(publicParts(failure)) };
}

/** The response that says it as JSON (RFC 6749 section 5.2). */
export function oauthErrorResponse(failure: Failure): Outgoing {
  const description = describeOAuthError(failure);
  return { ...json(statusOf(failure), description, headersOf(failure)), error: description.error };
}

/** Problem details (RFC 9457); `request` is what an operator searches the log for. */
export function problemResponse(failure: Failure, requestId?: string): Outgoing {
  const status = statusOf(failure);
  const problem = {
    type: 'about:blank',
    title: reasonPhrase(status),
    status,
    detail: failure.message,
    code: failure.code,
    hint: failure.hint,
    request: requestId,
  };
  return json(status, problem, { 'content-type': 'application/problem+json', ...headersOf(failure) });
}

/** Such as `Not Found` for 404. */
export function reasonPhrase(status: number): string {
  return STATUS_CODES[status] ?? 'Error';
}

/** What a person or a client outside may read: of a fault on our side, only that there is one. */
export function publicParts(failure: Failure): { sentence: string; hint: string | undefined } {
  if (statusOf(failure) !== 500) return { sentence: failure.message, hint: failure.hint };
  return { sentence: asFailure(undefined).message, hint: undefined };
}

/** RFC 6749 section 5.2 leaves out quotes, backslashes and everything that is not printable ASCII. */
function descriptionOf(parts: { sentence: string; hint: string | undefined }): string {
  const text = parts.hint === undefined ? parts.sentence : `${parts.sentence} ${parts.hint}`;
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll(/[^\x20-\x7e]/g, '?');
}

/** OAuth has one answer to a body of the wrong type, too: `invalid_request` with 400 (RFC 6749 section 5.2). */
export function forOAuth(failure: Failure): Failure {
  const isWrongType = failure instanceof HttpFailure && failure.status === 415;
  return isWrongType ? new HttpFailure(400, failure.message, failure) : failure;
}

export function nothingHere(): HttpFailure {
  return new HttpFailure(404, 'There is nothing at this address.');
}

const FRAMEWORK_SENTENCES: Readonly<Record<number, string>> = {
  413: 'The body of the request is too large.',
  414: 'A part of the address is too long.',
  415: 'The content type of the request is not supported here.',
};

/** What Fastify refuses before a handler runs, in our words; anything without a 4xx status is our own fault. */
export function frameworkFailure(error: unknown): Failure {
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (!(status >= 400 && status < 500)) return asFailure(error);
  if (status === 404) return nothingHere();
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const sentence =
    code === 'FST_ERR_BAD_URL'
      ? 'The address has a %-escape that is malformed or not UTF-8.'
      : (FRAMEWORK_SENTENCES[status] ?? 'The request is not valid HTTP.');
  return new HttpFailure(status, sentence, {
    detail: error instanceof Error ? error.message : String(error),
  });
}
