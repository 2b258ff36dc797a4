/**
 * Signed text: one line of JSON, and after it one line with the Ed25519 signature (RFC 8032) over the first line, its line
 * feed included. In an archive the lines are two entries; beside an archive they are one file.
 */
import { createPublicKey, verify } from 'node:crypto';
import { fromBase64url } from '../kernel/bytes.ts';
import { Failure } from '../kernel/errors.ts';

/** Whoever signs: the private key need not be in this thread, nor on this machine. */
export interface Signer {
  /** The Ed25519 public key, 32 bytes in base64url (the `x` of its JWK). It is short enough to be its own fingerprint. */
  readonly publicKey: string;
  /** 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** `publicKey` of a signer, as a text that somebody may have typed. */
export const SIGNER_KEY = /^[A-Za-z0-9_-]{43}$/;

/** The public keys whose signatures count. */
export type Trust = readonly string[];

const PUBLIC_KEY = 32;
const SIGNATURE = 64;
const LINE_FEED = 0x0a;

/** A value as the line that is signed. */
export function toLine(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** The line that goes after the signed one. */
export async function signatureOf(signer: Signer, line: Uint8Array): Promise<Buffer> {
  const signature = Buffer.from(await signer.sign(line));
  const bytes = writeSignature(signer.publicKey, signature);
  // An archive whose signature does not hold would be found out when it is needed.
  if (signerOf(line, bytes) === undefined)
    throw new TypeError('the signer does not sign with its public key');
  return bytes;
}

/** Both lines. */
export async function signLine(signer: Signer, value: unknown): Promise<Buffer> {
  const line = toLine(value);
  return Buffer.concat([line, await signatureOf(signer, line)]);
}

export interface SignedLine {
  readonly line: Buffer;
  /** The public key whose signature it has, which need not be one that anybody trusts. */
  readonly signedBy: string;
}

/** Undefined when it is not two lines, or the second is not the signature of the first. */
export function readSigned(bytes: Buffer): SignedLine | undefined {
  const end = bytes.indexOf(LINE_FEED) + 1;
  const line = bytes.subarray(0, end);
  const signedBy = signerOf(line, bytes.subarray(end));
  return signedBy === undefined ? undefined : { line, signedBy };
}

/** The public key that has signed the line; undefined when the signature does not hold. */
export function signerOf(line: Uint8Array, signature: Uint8Array): string | undefined {
  const found = readSignature(Buffer.from(signature));
  if (!found) return undefined;
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: found.publicKey }, format: 'jwk' });
  return verify(null, line, key, found.signature) ? found.publicKey : undefined;
}

/** Failures: `refused` naming the signer that is not trusted. */
export function checkTrust(signedBy: string, trust: Trust): void {
  if (trust.includes(signedBy)) return;
  throw new Failure('refused', `The backup is signed by a key that is not trusted here: ${signedBy}.`, {
    detail: `trusted: ${trust.join(', ') || 'none'}`,
    hint: 'Compare it with the signing key on the recovery sheet of the deployment. Only if it is that key, name it as trusted and try again.',
  });
}

function writeSignature(publicKey: string, signature: Buffer): Buffer {
  return toLine({ ed25519: signature.toString('base64url'), public_key: publicKey });
}

function readSignature(bytes: Buffer): { publicKey: string; signature: Buffer } | undefined {
  const found = parse(bytes);
  const publicKey = String(found?.['public_key']);
  const signature = fromBase64url(String(found?.['ed25519']));
  if (signature?.length !== SIGNATURE || fromBase64url(publicKey)?.length !== PUBLIC_KEY) return undefined;
  // There is one way to write it.
  return writeSignature(publicKey, signature).equals(bytes) ? { publicKey, signature } : undefined;
}

function parse(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    return Object(JSON.parse(bytes.toString()));
  } catch {
    return undefined;
  }
}
