// Owns a resource server that caches the JWK set for as long as it may, and never asks a moment earlier: the client that
// suffers first from a rotation done wrong.

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { promisify } from 'node:util';

const verifyLater = promisify<string, Buffer, { key: KeyObject; dsaEncoding: 'ieee-p1363' }, Buffer, boolean>(
  verify,
);

export interface JwkSet {
  readonly keys: readonly { readonly kid: string }[];
}

export class CachingVerifier {
  readonly #fetch: () => JwkSet | Promise<JwkSet>;
  readonly #maxAge: number;
  #keys = new Map<string, KeyObject>();
  #fetchedAt: number;
  /** How many tokens it has looked at, and which of them it has refused. */
  checked = 0;
  readonly rejected: string[] = [];

  /** @param phase ms, how old what it has cached pretends to be: so that verifiers ask at different times */
  constructor(fetch: () => JwkSet | Promise<JwkSet>, maxAge: number, phase = 0) {
    this.#fetch = fetch;
    this.#maxAge = maxAge;
    this.#fetchedAt = Number.NEGATIVE_INFINITY;
    this.#phase = phase;
  }

  #phase: number;

  /** Looks at a token that is in force at `now` (ms). */
  async check(jwt: string, now: number): Promise<void> {
    if (now - this.#fetchedAt > this.#maxAge) await this.#refresh(now);
    this.checked += 1;
    if (!(await this.#accepts(jwt))) this.rejected.push(jwt);
  }

  async #refresh(now: number): Promise<void> {
    const { keys } = await this.#fetch();
    this.#keys = new Map(keys.map((jwk) => [jwk.kid, createPublicKey({ key: { ...jwk }, format: 'jwk' })]));
    this.#fetchedAt = now - this.#phase;
    this.#phase = 0;
  }

  async #accepts(jwt: string): Promise<boolean> {
    const [header = '', claims = '', signature = ''] = jwt.split('.');
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
    const key = this.#keys.get(kid);
    if (key === undefined) return false;
    const input = Buffer.from(`${header}.${claims}`);
    return verifyLater(
      'sha256',
      input,
      { key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
  }
}
