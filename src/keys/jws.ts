/** Compact JWS (RFC 7515) for our own tokens: a signer with its encoded headers at hand, and a parser that trusts nothing. */
import { sign as cryptoSign, verify as cryptoVerify, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { fromBase64url, fromUtf8 } from '../kernel/bytes.ts';
import type { Algorithm } from './jwk.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface JwsHeader {
  readonly alg: string;
  readonly kid: string;
  readonly typ: string;
}

/** A token taken apart; nothing in it is proven yet. */
export interface ParsedJws {
  readonly header: JwsHeader;
  readonly claims: JsonObject;
  readonly signingInput: string;
  readonly signature: Buffer;
}

/** Makes the JWS signature of some bytes: at once, or later where the private key is elsewhere. */
export type SignatureMaker = (input: Buffer) => Buffer | Promise<Buffer>;

const signInThreadPool = promisify<string, Buffer, KeyObject, Buffer>(cryptoSign);
const verifyInThreadPool = promisify<
  string | null,
  Buffer,
  { key: KeyObject; dsaEncoding?: 'ieee-p1363' },
  Buffer,
  boolean
>(cryptoVerify);

/** Signs with a private key in this process. ES256 and EdDSA are quicker than a trip to the thread pool; RS256 is not. */
export function localSignature(algorithm: Algorithm, key: KeyObject): SignatureMaker {
  switch (algorithm) {
    case 'ES256':
      // Asking node:crypto for r||s itself costs far more than signing DER and converting.
      return (input) => derToRaw(cryptoSign('sha256', input, key));
    case 'EdDSA':
      return (input) => cryptoSign(null, input, key);
    case 'RS256':
      return (input) => signInThreadPool('sha256', input, key);
  }
}

export class JwsSigner {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly #signature: SignatureMaker;
  /** Encoded headers by `typ`: there are only as many as kinds of token. */
  readonly #headers = new Map<string, string>();

  constructor(kid: string, algorithm: Algorithm, signature: SignatureMaker) {
    this.kid = kid;
    this.algorithm = algorithm;
    this.#signature = signature;
  }

  /** The compact serialization (RFC 7515 section 7.1) of the claims. */
  async sign(typ: string, claims: object): Promise<string> {
    const signingInput = `${this.#header(typ)}.${encode(claims)}`;
    const signature = await this.#signature(Buffer.from(signingInput, 'latin1'));
    return `${signingInput}.${signature.toString('base64url')}`;
  }

  #header(typ: string): string {
    const known = this.#headers.get(typ);
    if (known !== undefined) return known;
    const header = encode({ alg: this.algorithm, typ, kid: this.kid } satisfies JwsHeader);
    this.#headers.set(typ, header);
    return header;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/**
 * Takes a compact JWS apart; undefined unless it has exactly the form of a token that we could have signed: three strict
 * base64url parts, JSON objects, `alg`, `kid` and `typ` as strings, and no critical extension, because we know none
 * (RFC 7515 section 4.1.11). Never throws.
 */
export function parseJws(text: string): ParsedJws | undefined {
  const [encodedHeader, encodedClaims, encodedSignature, ...more] = text.split('.', 4);
  if (!encodedHeader || !encodedClaims || !encodedSignature || more.length > 0) return undefined;
  const header = decode(encodedHeader);
  const claims = decode(encodedClaims);
  const signature = fromBase64url(encodedSignature);
  if (!header || !claims || !signature || !isOurHeader(header)) return undefined;
  return { header, claims, signingInput: `${encodedHeader}.${encodedClaims}`, signature };
}

function isOurHeader(header: JsonObject): header is JsonObject & JwsHeader {
  if (Object.hasOwn(header, 'crit')) return false;
  return ['alg', 'kid', 'typ'].every(
    (name) => Object.hasOwn(header, name) && typeof header[name] === 'string',
  );
}

function decode(encoded: string): JsonObject | undefined {
  const bytes = fromBase64url(encoded);
  const text = bytes && fromUtf8(bytes);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether the key made the signature, checked in the thread pool. The algorithm is the key's; what the token says of it must
 * agree (RFC 8725 section 3.1).
 */
export async function verifySignature(
  jws: ParsedJws,
  algorithm: Algorithm,
  key: KeyObject,
): Promise<boolean> {
  if (jws.header.alg !== algorithm) return false;
  const digest = algorithm === 'EdDSA' ? null : 'sha256';
  const input = Buffer.from(jws.signingInput, 'latin1');
  return verifyInThreadPool(digest, input, { key, dsaEncoding: 'ieee-p1363' }, jws.signature);
}

/** Length of r and of s for P-256 (RFC 7518 section 3.4). */
const COORDINATE = 32;

/** An ECDSA signature from DER, `SEQUENCE { INTEGER r, INTEGER s }`, to r||s; for P-256 every length fits in one byte. */
export function derToRaw(der: Buffer): Buffer {
  const raw = Buffer.alloc(2 * COORDINATE);
  const lengthOfR = der[3] as number;
  const startOfS = 4 + lengthOfR + 2;
  const lengthOfS = der[startOfS - 1] as number;
  copyInteger(der.subarray(4, 4 + lengthOfR), raw.subarray(0, COORDINATE));
  copyInteger(der.subarray(startOfS, startOfS + lengthOfS), raw.subarray(COORDINATE));
  return raw;
}

/** DER integers carry a leading zero where the top bit is set, and drop leading zero bytes otherwise. */
function copyInteger(integer: Buffer, target: Buffer): void {
  const digits = integer.length > COORDINATE ? integer.subarray(integer.length - COORDINATE) : integer;
  digits.copy(target, COORDINATE - digits.length);
}
