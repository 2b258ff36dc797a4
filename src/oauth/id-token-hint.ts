import type { Keyring } from '../keys/keyring.ts';
import { ID_TOKEN_TYPE } from '../tokens/issuer.ts';

/** What an ID token of ours says. */
export interface HintedUser {
  readonly sub: string;
  readonly client_id: string;
  readonly session_id: string | null;
}

/**
 * Reads ID tokens back as hints. They may have expired, and their key may have retired since: a hint only says who was meant
 * (OpenID Connect Core 3.1.2.1, RP-Initiated Logout 1.0 section 2).
 */
export class IdTokenReader {
  readonly #issuer: string;
  readonly #keyring: Pick<Keyring, 'verify'>;

  constructor(parts: { issuer: string; keyring: Pick<Keyring, 'verify'> }) {
    this.#issuer = parts.issuer;
    this.#keyring = parts.keyring;
  }

  async read(idToken: string): Promise<HintedUser | undefined> {
    const claims = await this.#keyring.verify(idToken, ID_TOKEN_TYPE, { past: true });
    if (!claims) return undefined;
    const { iss, sub, aud, sid } = claims;
    if (iss !== this.#issuer || typeof sub !== 'string' || typeof aud !== 'string') return undefined;
    return { sub, client_id: aud, session_id: typeof sid === 'string' ? sid : null };
  }
}
