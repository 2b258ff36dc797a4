/** A key of the transit engine: its versions, its types, and how it signs. */
import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import { Failure } from '../../kernel/errors.ts';
import { type Algorithm, algorithmOf, type PublicJwk, publicJwk, thumbprint } from '../jwk.ts';
import type { VaultClient } from './client.ts';

export interface TransitKey {
  /** Where the engine is mounted: `transit`. */
  readonly mount: string;
  readonly name: string;
}

/** A version of a transit key: a key pair like any other, whose private half stays there. */
export interface TransitVersion {
  readonly key: TransitKey;
  readonly version: number;
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly jwk: PublicJwk;
  /** Bytes of a signature. */
  readonly signatureLength: number;
}

/** The type of transit key for each algorithm. */
export const TYPES: Readonly<Record<Algorithm, string>> = {
  ES256: 'ecdsa-p256',
  EdDSA: 'ed25519',
  RS256: 'rsa-2048',
};

/** `transit/keys/authserver-signing` */
export function pathOf({ mount, name }: TransitKey, verb: string, ...rest: readonly string[]): string {
  return [...mount.split('/'), verb, name, ...rest].map(encodeURIComponent).join('/');
}

export interface TransitState {
  readonly type: string;
  /** The oldest first; those that Vault has archived are left out. */
  readonly versions: readonly TransitVersion[];
  /** Versions below do not sign any longer. */
  readonly minimum: number;
}

/** undefined when there is no such key. Failures: as `VaultClient.call`. */
export async function readTransitKey(
  client: VaultClient,
  key: TransitKey,
): Promise<TransitState | undefined> {
  const { status, body } = await client.call('GET', pathOf(key, 'keys'));
  if (status === 404) return undefined;
  const { data } = (body ?? {}) as { data?: Record<string, unknown> };
  const type = String(data?.['type']);
  const versions = Object.entries((data?.['keys'] ?? {}) as Record<string, unknown>).flatMap(
    ([version, entry]) => {
      const found = readVersion(key, Number(version), type, entry);
      return found === undefined ? [] : [found];
    },
  );
  return {
    type,
    versions: versions.sort((a, b) => a.version - b.version),
    minimum: Number(data?.['min_encryption_version'] ?? 0),
  };
}

function readVersion(
  key: TransitKey,
  version: number,
  type: string,
  entry: unknown,
): TransitVersion | undefined {
  const text = (entry as { public_key?: unknown } | null)?.public_key;
  const publicKey = typeof text === 'string' ? readPublicKey(type, text) : undefined;
  const algorithm = publicKey && algorithmOf(publicKey);
  const kid = publicKey && thumbprint(publicKey.export({ format: 'jwk' }));
  if (publicKey === undefined || algorithm === undefined || kid === undefined) return undefined;
  const bits = publicKey.asymmetricKeyDetails?.modulusLength;
  return {
    key,
    version,
    kid,
    algorithm,
    jwk: publicJwk(kid, algorithm, publicKey),
    signatureLength: bits === undefined ? 64 : bits / 8,
  };
}

/** PEM, but for Ed25519: there it is the 32 bytes of RFC 8032 in base64. */
function readPublicKey(type: string, text: string): KeyObject | undefined {
  try {
    if (type !== 'ed25519') return createPublicKey(text);
    const x = Buffer.from(text, 'base64').toString('base64url');
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch {
    return undefined;
  }
}

/**
 * The JWS signature of some bytes. Where the algorithm begins with a hash, only the hash is sent, so that what tokens say
 * stays here. Failures: as `VaultClient.call`; `configuration` when what comes back is no signature of this version.
 */
export async function signInTransit(
  client: VaultClient,
  signer: TransitVersion,
  input: Buffer,
): Promise<Buffer> {
  const { key, version, algorithm, signatureLength } = signer;
  const prehashed = algorithm !== 'EdDSA';
  const data = prehashed ? hash('sha256', input, 'buffer') : input;
  const { body, status } = await client.call('POST', pathOf(key, 'sign', 'sha2-256'), {
    input: data.toString('base64'),
    key_version: version,
    prehashed,
    ...(algorithm === 'ES256' && { marshaling_algorithm: 'jws' }),
    ...(algorithm === 'RS256' && { signature_algorithm: 'pkcs1v15' }),
  });
  const text = (body as { data?: { signature?: unknown } } | undefined)?.data?.signature;
  const [prefix, named, encoded = ''] = typeof text === 'string' ? text.split(':') : [];
  const signature = Buffer.from(encoded, algorithm === 'ES256' ? 'base64url' : 'base64');
  if (prefix === 'vault' && named === `v${version}` && signature.length === signatureLength) return signature;
  throw new Failure(
    'configuration',
    `Vault at ${client.address} made no signature with ${key.name}, version ${version}.`,
    {
      hint: `See whether the key is still there: \`bao read ${pathOf(key, 'keys')}\`.`,
      detail: `status ${status}, ${signature.length} bytes of ${signatureLength}`,
    },
  );
}
