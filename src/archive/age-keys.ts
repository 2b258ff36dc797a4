/**
 * age identities (X25519) as their specification writes them: Bech32 without its limit of length. Made over node:crypto,
 * because the age package takes a tenth of a second to load, and the first start of a server makes one.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { Failure } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';

const SECRET_PREFIX = 'age-secret-key-';
const PUBLIC_PREFIX = 'age';
const KEY_LENGTH = 32;
const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECKSUM_LENGTH = 6;
/** PKCS #8 of an X25519 key, up to its 32 bytes (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** A new identity, `AGE-SECRET-KEY-1...`. */
export function makeIdentity(random: Random): string {
  return encode(SECRET_PREFIX, random.bytes(KEY_LENGTH)).toUpperCase();
}

/**
 * The recipient, `age1...`, of an identity.
 * Failures: `invalid_input` when the text is no identity of this kind; the text itself is not repeated.
 */
export function recipientOf(identity: string): string {
  const secret = decode(SECRET_PREFIX, identity.trim());
  if (!secret) {
    throw new Failure(
      'invalid_input',
      'That is not a recovery key: a character is wrong, or some are missing.',
      {
        hint: 'A recovery key begins with AGE-SECRET-KEY-1 and has 74 characters.',
      },
    );
  }
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, secret]), format: 'der', type: 'pkcs8' });
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return encode(PUBLIC_PREFIX, Buffer.from(x, 'base64url'));
}

function encode(prefix: string, bytes: Uint8Array): string {
  const words = regroup(bytes, 8, 5, true) ?? [];
  const sum = polymod([...expand(prefix), ...words, ...new Array<number>(CHECKSUM_LENGTH).fill(0)]) ^ 1;
  const check = Array.from({ length: CHECKSUM_LENGTH }, (_, at) => (sum >>> (5 * (5 - at))) & 31);
  return `${prefix}1${[...words, ...check].map((word) => ALPHABET[word]).join('')}`;
}

function decode(prefix: string, text: string): Buffer | undefined {
  // One case or the other, never both.
  if (text !== text.toUpperCase() && text !== text.toLowerCase()) return undefined;
  const lower = text.toLowerCase();
  if (!lower.startsWith(`${prefix}1`)) return undefined;
  const words = [...lower.slice(prefix.length + 1)].map((letter) => ALPHABET.indexOf(letter));
  if (words.includes(-1) || polymod([...expand(prefix), ...words]) !== 1) return undefined;
  const bytes = regroup(words.slice(0, -CHECKSUM_LENGTH), 5, 8, false);
  return bytes?.length === KEY_LENGTH ? Buffer.from(bytes) : undefined;
}

function expand(prefix: string): number[] {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
}

function polymod(words: readonly number[]): number {
  let sum = 1;
  for (const word of words) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ word;
    for (const [bit, value] of GENERATOR.entries()) if ((top >>> bit) & 1) sum ^= value;
  }
  return sum >>> 0;
}

/** Words of `from` bits as words of `to` bits; undefined when the padding is not as it should be. */
function regroup(words: Iterable<number>, from: number, to: number, pads: boolean): number[] | undefined {
  const made: number[] = [];
  let held = 0;
  let bits = 0;
  for (const word of words) {
    held = (held << from) | word;
    bits += from;
    while (bits >= to) {
      bits -= to;
      made.push((held >>> bits) & ((1 << to) - 1));
    }
    held &= (1 << bits) - 1;
  }
  if (pads && bits > 0) made.push((held << (to - bits)) & ((1 << to) - 1));
  if (!pads && (bits >= from || held !== 0)) return undefined;
  return made;
}
