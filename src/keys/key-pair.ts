import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { type Algorithm, algorithmOf, type PublicJwk, publicJwk, thumbprint } from './jwk.ts';

/** Both halves of a signing key; its id is its RFC 7638 thumbprint, so that a key proves its own name. */
export interface KeyPair {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly privateKey: KeyObject;
  readonly jwk: PublicJwk;
}

const generate = promisify(generateKeyPair);

/** A new key pair, made in the thread pool. */
export async function makeKeyPair(algorithm: Algorithm): Promise<KeyPair> {
  const { privateKey } = await generateFor(algorithm);
  return describe(privateKey, algorithm);
}

function generateFor(algorithm: Algorithm): Promise<{ privateKey: KeyObject }> {
  switch (algorithm) {
    case 'ES256':
      return generate('ec', { namedCurve: 'P-256' });
    case 'EdDSA':
      return generate('ed25519');
    case 'RS256':
      return generate('rsa', { modulusLength: 2048 });
  }
}

/** The key pair in a PEM text; undefined when the text holds no private key that we can sign with. */
export function readKeyPair(pem: string): KeyPair | undefined {
  const privateKey = readPrivateKey(pem);
  return privateKey && pairOf(privateKey);
}

/** The key pair of a private key; undefined when we cannot sign with it, or its halves do not belong together. */
export function pairOf(privateKey: KeyObject): KeyPair | undefined {
  const algorithm = algorithmOf(privateKey);
  return algorithm && isWhole(privateKey, algorithm) ? describe(privateKey, algorithm) : undefined;
}

/** PKCS #8, PEM: how key stores keep it. */
export function writePem(pair: KeyPair): string {
  return pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function readPrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

/**
 * Both halves are in a private key, and OpenSSL takes them as they come. A key is named by its public half, so that one which
 * was damaged in the other would pass for whole, and nobody could verify what it signs.
 */
function isWhole(privateKey: KeyObject, algorithm: Algorithm): boolean {
  const digest = algorithm === 'EdDSA' ? null : 'sha256';
  const probe = Buffer.from('probe');
  try {
    return verify(digest, probe, createPublicKey(privateKey), sign(digest, probe, privateKey));
  } catch {
    return false;
  }
}

function describe(privateKey: KeyObject, algorithm: Algorithm): KeyPair {
  const publicKey = createPublicKey(privateKey);
  const kid = thumbprint(publicKey.export({ format: 'jwk' })) ?? '';
  return { kid, algorithm, privateKey, jwk: publicJwk(kid, algorithm, publicKey) };
}
