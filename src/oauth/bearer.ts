import { bearerCredentials } from '../http/bearer.ts';
import type { Incoming } from '../http/exchange.ts';
import { OAuthError, type OAuthErrorCode } from '../http/oauth-error.ts';
import { type Clock, seconds } from '../kernel/clock.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { IssuanceStore } from '../store/store.ts';
import { ACCESS_TOKEN_TYPE } from '../tokens/issuer.ts';

/** RFC 6750 section 2.1 */
const B64TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** The claims of an access token of ours that is in force right now. */
export interface LiveAccessToken {
  readonly jti: string;
  readonly sub: string;
  readonly client_id: string;
  readonly scope: string;
  readonly aud: readonly string[];
  /** Seconds */
  readonly iat: number;
  readonly exp: number;
  readonly family_id: string | null;
  readonly user_id: string | null;
  readonly auth_time: number | undefined;
  readonly acr: string | undefined;
}

export interface AccessTokenReaderParts {
  readonly issuer: string;
  readonly keyring: Pick<Keyring, 'verify'>;
  readonly issuances: IssuanceStore;
  readonly clock: Clock;
}

/** Reads access tokens back: the signature says that we made it, the database that it has not been revoked. */
export class AccessTokenReader {
  readonly #parts: AccessTokenReaderParts;

  constructor(parts: AccessTokenReaderParts) {
    this.#parts = parts;
  }

  /** The token if it is ours and in force; undefined for anything else. */
  async read(token: string): Promise<LiveAccessToken | undefined> {
    const { issuer, keyring, issuances, clock } = this.#parts;
    const claims = await keyring.verify(token, ACCESS_TOKEN_TYPE);
    if (!claims) return undefined;
    const { iss, jti, exp, sub, client_id, scope, aud, iat, auth_time, acr } = claims;
    const now = clock.now();
    if (iss !== issuer || typeof jti !== 'string' || typeof exp !== 'number' || exp <= seconds(now))
      return undefined;
    const issuance = await issuances.findLive({ jti, now });
    if (!issuance) return undefined;
    return {
      jti,
      sub: String(sub),
      client_id: String(client_id),
      scope: typeof scope === 'string' ? scope : '',
      aud: Array.isArray(aud) ? aud.map(String) : [String(aud)],
      iat: Number(iat),
      exp,
      family_id: issuance.family_id,
      user_id: issuance.user_id,
      auth_time: typeof auth_time === 'number' ? auth_time : undefined,
      acr: typeof acr === 'string' ? acr : undefined,
    };
  }
}

/** The bearer token of a request, in the header or the form (RFC 6750 sections 2.1 and 2.2). @throws OAuthError */
export function bearerToken(request: Incoming): string {
  const header = request.headers.authorization;
  const [field, ...more] = request.form.all('access_token');
  if (more.length > 0 || (header !== undefined && field !== undefined)) {
    throw bearerError(
      'invalid_request',
      'The access token is sent more than once or in more than one way (RFC 6750 section 2).',
    );
  }
  const credentials = bearerCredentials(header);
  if (credentials !== undefined && B64TOKEN.test(credentials)) return credentials;
  if (field !== undefined) return field;
  // RFC 6750 section 3.1: who brings no token at all is only told how to.
  if (header === undefined) throw bearerError('invalid_token', 'An access token is needed.', { bare: true });
  throw bearerError('invalid_request', 'The Authorization header holds no bearer token.');
}

/** An error of RFC 6750 section 3.1 with its challenge. */
export function bearerError(
  error: OAuthErrorCode,
  description: string,
  options: { bare?: boolean; scope?: string } = {},
): OAuthError {
  const status = error === 'insufficient_scope' ? 403 : error === 'invalid_request' ? 400 : 401;
  const scope = options.scope === undefined ? '' : `, scope="${options.scope}"`;
  const challenge = options.bare
    ? 'Bearer'
    : `Bearer error="${error}", error_description="${description}"${scope}`;
  return new OAuthError(error, description, { status, headers: { 'www-authenticate': challenge } });
}
