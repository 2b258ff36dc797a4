/**
 * tokens: what is in a token, how long it lives, how one refresh token follows another. It must not know how a token was
 * asked for (grants, endpoints) nor who signed in how.
 */
import type { Clock } from '../kernel/clock.ts';
import { seconds } from '../kernel/clock.ts';
import type { Ids } from '../kernel/ids.ts';
import { type Counter, type Meter, silentMeter } from '../kernel/metrics.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { IssuanceRecord } from '../store/records.ts';
import { tokenHash } from './token-hash.ts';

/** When and how the user was authenticated (OpenID Connect Core 2). */
export interface Authentication {
  /** ms */
  readonly auth_time: number;
  readonly acr: string;
  readonly amr: readonly string[];
}

export interface AccessTokenContents {
  readonly client_id: string;
  /** Null when the client acts for itself. */
  readonly user_id: string | null;
  readonly family_id: string | null;
  readonly audience: readonly string[];
  readonly scope: string;
  /** ms */
  readonly lifetime: number;
  readonly authentication: Authentication | null;
}

export interface AccessToken {
  readonly jwt: string;
  /** Seconds, as in `expires_in`. */
  readonly expiresIn: number;
  /** What the store must record before the token is given away. */
  readonly issuance: IssuanceRecord;
}

export interface IdTokenContents {
  readonly client_id: string;
  readonly user_id: string;
  readonly session_id: string;
  readonly nonce: string | null;
  readonly authentication: Authentication;
  /** The access token that goes with it, for `at_hash`. */
  readonly accessToken: string;
  /** Claims about the user that were asked for by name. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export const ACCESS_TOKEN_TYPE = 'at+jwt';
export const ID_TOKEN_TYPE = 'JWT';

export interface TokenIssuerParts {
  readonly issuer: string;
  readonly keyring: Pick<Keyring, 'sign'>;
  readonly clock: Clock;
  readonly ids: Ids;
  /** ms */
  readonly idTokenLifetime: number;
  readonly meter?: Meter;
}

export class TokenIssuer {
  readonly #parts: TokenIssuerParts;
  readonly #failures: Counter;

  constructor(parts: TokenIssuerParts) {
    this.#parts = parts;
    this.#failures = (parts.meter ?? silentMeter).counter('authserver_signing_failures_total');
  }

  /** A signed access token (RFC 9068). It is not to be given away before its issuance is recorded. */
  async accessToken(contents: AccessTokenContents): Promise<AccessToken> {
    const { issuer, clock, ids } = this.#parts;
    const now = clock.now();
    const jti = ids.next('at');
    const iat = seconds(now);
    const expiresIn = seconds(contents.lifetime);
    const { jwt, kid } = await this.#sign(ACCESS_TOKEN_TYPE, {
      iss: issuer,
      sub: contents.user_id ?? contents.client_id,
      aud: contents.audience.length === 1 ? contents.audience[0] : contents.audience,
      client_id: contents.client_id,
      ...(contents.scope !== '' && { scope: contents.scope }),
      jti,
      iat,
      exp: iat + expiresIn,
      ...(contents.authentication && authenticationClaims(contents.authentication)),
    });
    const issuance: IssuanceRecord = {
      jti,
      family_id: contents.family_id,
      user_id: contents.user_id,
      client_id: contents.client_id,
      kid,
      issued_at: now,
      expires_at: (iat + expiresIn) * 1000,
      revoked_at: null,
    };
    return { jwt, expiresIn, issuance };
  }

  /** A signed ID token (OpenID Connect Core 2). */
  async idToken(contents: IdTokenContents): Promise<string> {
    const { issuer, clock, idTokenLifetime } = this.#parts;
    const iat = seconds(clock.now());
    const { jwt } = await this.#sign(ID_TOKEN_TYPE, (algorithm) => ({
      ...contents.claims,
      iss: issuer,
      sub: contents.user_id,
      aud: contents.client_id,
      iat,
      exp: iat + seconds(idTokenLifetime),
      ...authenticationClaims(contents.authentication),
      ...(contents.nonce !== null && { nonce: contents.nonce }),
      at_hash: tokenHash(contents.accessToken, algorithm),
      sid: contents.session_id,
    }));
    return jwt;
  }

  async #sign(...what: Parameters<Keyring['sign']>): ReturnType<Keyring['sign']> {
    try {
      return await this.#parts.keyring.sign(...what);
    } catch (error) {
      this.#failures.add();
      throw error;
    }
  }
}

function authenticationClaims(authentication: Authentication) {
  return {
    auth_time: seconds(authentication.auth_time),
    acr: authentication.acr,
    amr: authentication.amr,
  };
}
