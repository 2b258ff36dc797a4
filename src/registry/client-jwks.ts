import { createPublicKey } from 'node:crypto';

/** Members that only private and symmetric keys have (RFC 7518 section 6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** What any key says of itself, and what each type consists of (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2). */
const OF_ANY_KEY = ['kty', 'kid', 'alg', 'use', 'key_ops'];
const OF_KEY_TYPE: Readonly<Record<string, readonly string[]>> = {
  RSA: ['n', 'e'],
  EC: ['crv', 'x', 'y'],
  OKP: ['crv', 'x'],
};

const SMALLEST_RSA = 2048;
const MOST_KEYS = 20;
/** Characters: room for the modulus of an RSA key of 12288 bits. */
const LONGEST_MEMBER = 2048;

type Jwk = Readonly<Record<string, unknown>>;

/** Why this is not a JWK set with which a client can prove itself (RFC 7523), or undefined when it is one. */
export function clientJwksFault(jwks: unknown): string | undefined {
  const keys = (jwks as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || keys.length === 0)
    return 'must be a JWK set: an object with a list of keys, at least one';
  if (keys.length > MOST_KEYS) return `must have at most ${MOST_KEYS} keys`;
  for (const [index, key] of keys.entries()) {
    const fault = keyFault(key);
    if (fault) return `keys[${index}] ${fault}`;
  }
  const kids = keys.map((key) => key.kid).filter((kid) => kid !== undefined);
  if (new Set(kids).size !== kids.length) return 'must not use one kid for two keys';
  return undefined;
}

/** The keys with the members that we know, and without whatever else came along. */
export function publicMembers({ keys }: { readonly keys: readonly Jwk[] }): {
  readonly keys: readonly Jwk[];
} {
  return { keys: keys.map((key) => Object.fromEntries(knownMembers(key))) };
}

function knownMembers(key: Jwk): readonly [string, unknown][] {
  const known = [...OF_ANY_KEY, ...(OF_KEY_TYPE[String(key['kty'])] ?? [])];
  return Object.entries(key).filter(([name]) => known.includes(name));
}

function keyFault(key: unknown): string | undefined {
  if (typeof key !== 'object' || key === null) return 'must be an object';
  const jwk = key as Jwk;
  if (jwk['kty'] === 'oct') return 'is a symmetric key; register public keys only';
  const secret = PRIVATE_MEMBERS.find((member) => member in jwk);
  if (secret)
    return `has the private member ${secret}; register the public half, and replace this key: it was sent to a server`;
  if (jwk['kid'] !== undefined && typeof jwk['kid'] !== 'string') return 'must have a string as its kid';
  const long = knownMembers(jwk).find(([, value]) => JSON.stringify(value).length > LONGEST_MEMBER);
  if (long) return `has a ${long[0]} of more than ${LONGEST_MEMBER} characters`;
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key: jwk, format: 'jwk' });
    if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) < SMALLEST_RSA) {
      return `must be an RSA key of at least ${SMALLEST_RSA} bits`;
    }
    if (!['rsa', 'ec', 'ed25519'].includes(asymmetricKeyType ?? ''))
      return 'must be an RSA, EC or Ed25519 key';
  } catch {
    return 'is not a public key (RFC 7518 section 6)';
  }
  return undefined;
}
