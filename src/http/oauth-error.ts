import { Failure, type FailureCode, type FailureParts } from '../kernel/errors.ts';

/** The error codes of RFC 6749, 6750, 7591, 7592, 8707, OpenID Connect Core and RP-Initiated Logout that we answer with. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'access_denied'
  | 'server_error'
  | 'temporarily_unavailable'
  | 'login_required'
  | 'consent_required'
  | 'unmet_authentication_requirements'
  | 'request_not_supported'
  | 'request_uri_not_supported'
  | 'registration_not_supported'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'invalid_redirect_uri'
  | 'invalid_client_metadata';

/** An error with a wire code. The edge writes `error` and `error_description`; detail and cause go to the log only. */
export class OAuthError extends Failure {
  readonly error: OAuthErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    error: OAuthErrorCode,
    description: string,
    parts: FailureParts & { status?: number; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(failureCode(error), description, parts);
    this.name = 'OAuthError';
    this.error = error;
    this.status = parts.status ?? (error === 'invalid_client' || error === 'invalid_token' ? 401 : 400);
    this.headers = parts.headers ?? {};
  }
}

function failureCode(error: OAuthErrorCode): FailureCode {
  if (error === 'invalid_client' || error === 'invalid_token') return 'unauthenticated';
  if (error === 'access_denied' || error === 'insufficient_scope') return 'forbidden';
  if (error === 'temporarily_unavailable') return 'unavailable';
  if (error === 'server_error') return 'internal';
  return 'invalid_input';
}
