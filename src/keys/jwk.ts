import type { KeyObject } from 'node:crypto';
import { sha256 } from '../kernel/bytes.ts';
import type { SigningKeyRecord } from '../store/records.ts';

/** JWS algorithms that we sign with (RFC 7518 section 3.1, RFC 8037 section 3.1). */
export type Algorithm = SigningKeyRecord['algorithm'];

/** An entry of the JWK set (RFC 7517 section 4): public members only. */
export interface PublicJwk {
  readonly kid: string;
  readonly kty: string;
  readonly alg: Algorithm;
  readonly use: 'sig';
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
}

/** The members of a JWK that public keys are made of, unchecked. */
type JwkMembers = Readonly<Partial<Record<'kty' | 'crv' | 'x' | 'y' | 'n' | 'e', unknown>>>;

/** What makes a public key, by key type; in the order that RFC 7638 section 3.2 hashes them. */
const REQUIRED_MEMBERS: ReadonlyMap<unknown, readonly (keyof JwkMembers)[]> = new Map([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['OKP', ['crv', 'kty', 'x']],
  ['RSA', ['e', 'kty', 'n']],
]);

/** The members of a JWK that make its public key, and nothing else; undefined when it is no public key of a known type. */
function publicMembers(jwk: JwkMembers): Record<string, string> | undefined {
  const names = REQUIRED_MEMBERS.get(jwk.kty);
  if (names === undefined) return undefined;
  const members: Record<string, string> = {};
  for (const name of names) {
    const value = jwk[name];
    if (typeof value !== 'string') return undefined;
    members[name] = value;
  }
  return members;
}

/** The JWK thumbprint, SHA-256 (RFC 7638 section 3); undefined when the JWK lacks what its type needs. */
export function thumbprint(jwk: JwkMembers): string | undefined {
  const members = publicMembers(jwk);
  return members && sha256(JSON.stringify(members));
}

/** Which of our algorithms a key is for; undefined when it is for none, or too weak (RFC 7518 section 3.3: 2048 bits). */
export function algorithmOf(key: KeyObject): Algorithm | undefined {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case 'ec':
      return details?.namedCurve === 'prime256v1' ? 'ES256' : undefined;
    case 'ed25519':
      return 'EdDSA';
    case 'rsa':
      return (details?.modulusLength ?? 0) >= 2048 ? 'RS256' : undefined;
    default:
      return undefined;
  }
}

/** The published form of a public key. */
export function publicJwk(kid: string, algorithm: Algorithm, publicKey: KeyObject): PublicJwk {
  const { kty = '', ...members } = publicMembers(publicKey.export({ format: 'jwk' })) ?? {};
  return { kid, kty, alg: algorithm, use: 'sig', ...members };
}
