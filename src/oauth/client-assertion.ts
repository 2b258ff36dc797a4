import type { JSONWebKeySet } from 'jose';
import { JOSEError } from 'jose/errors';
import { createLocalJWKSet } from 'jose/jwks/local';
import { jwtVerify } from 'jose/jwt/verify';
import { sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Client } from '../registry/clients.ts';
import { RESTORED_AT } from '../store/restored-at.ts';
import type { ReplayStore, SettingStore } from '../store/store.ts';

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
export const ASSERTION_ALGORITHMS = ['ES256', 'EdDSA', 'PS256', 'RS256'];

/** An assertion is for now; one that lives longer is a password that travels. Seconds. */
const LONGEST_LIFETIME = 600;

/** Checks `private_key_jwt` client assertions (RFC 7523 section 3, OpenID Connect Core 9). */
export class ClientAssertions {
  readonly #audiences: string[];
  readonly #replays: ReplayStore;
  readonly #settings: Pick<SettingStore, 'get'>;
  readonly #clock: Clock;
  readonly #skew: number;

  /** @param parts.audiences who the assertion may be for: the issuer, or the token endpoint; skew in seconds */
  constructor(parts: {
    audiences: readonly string[];
    replays: ReplayStore;
    settings: Pick<SettingStore, 'get'>;
    clock: Clock;
    skew: number;
  }) {
    this.#audiences = [...parts.audiences];
    this.#replays = parts.replays;
    this.#settings = parts.settings;
    this.#clock = parts.clock;
    this.#skew = parts.skew;
  }

  /** Why the assertion does not prove this client, or undefined when it does. Each works once. */
  async check(client: Client, assertion: string): Promise<string | undefined> {
    if (!client.jwks) return 'the client has no keys';
    const now = this.#clock.now();
    try {
      const { payload } = await jwtVerify(
        assertion,
        createLocalJWKSet(client.jwks as unknown as JSONWebKeySet),
        {
          algorithms: ASSERTION_ALGORITHMS,
          issuer: client.id,
          subject: client.id,
          audience: this.#audiences,
          requiredClaims: ['exp', 'jti'],
          clockTolerance: this.#skew,
          currentDate: new Date(now),
        },
      );
      const { exp = 0, iat, jti } = payload;
      if (typeof jti !== 'string' || jti === '') return 'the jti is not a string';
      if (exp * 1000 > now + (LONGEST_LIFETIME + this.#skew) * 1000) return 'the assertion lives too long';
      if (await this.#mayBeForgotten(iat, exp)) return 'the assertion is from before the restore';
      // An end may be a fraction of a second (RFC 7519 section 2), but it is compared with whole seconds: it holds until the next.
      const expires_at = (Math.ceil(exp) + this.#skew) * 1000;
      const { first } = await this.#replays.consume({ id: sha256(`${client.id}\n${jti}`), expires_at, now });
      return first ? undefined : 'the assertion was used before';
    } catch (error) {
      if (error instanceof JOSEError || error instanceof TypeError)
        return `the assertion is not valid: ${error.message}`;
      throw error;
    }
  }

  /**
   * Whether the assertion may have been used in the time that a restore has undone, of which no ids are known any more. One
   * that does not say when it was made is taken for as old as it can be.
   */
  async #mayBeForgotten(iat: number | undefined, exp: number): Promise<boolean> {
    const restored = await this.#settings.get({ name: RESTORED_AT });
    if (!restored) return false;
    const from = Number(restored.value) / 1000 + this.#skew;
    return iat === undefined ? exp <= from + LONGEST_LIFETIME : iat <= from;
  }
}
