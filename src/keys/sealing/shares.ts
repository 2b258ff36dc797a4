/**
 * Recovery shares of the master key: any `threshold` of them rebuild it, fewer tell nothing of it (Shamir). A share is a
 * text that survives being read aloud: Crockford's base 32 in groups, with a checksum, and with what tells sets apart.
 */
import { hash } from 'node:crypto';
import { combine, split } from 'shamir-secret-sharing';
import { Failure } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { masterKeyId } from './master-key.ts';

/** What is kept of a set of shares: nothing of the key. */
export interface ShareSet {
  readonly id: string;
  readonly threshold: number;
  readonly shares: number;
  readonly master_key_id: string;
  /** ms */
  readonly created_at: number;
}

const PREFIX = 'share1';
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** Bytes: set, threshold, number of the share; then the share itself, 32 bytes and its x; then the checksum. */
const SET = 5;
const HEADER = SET + 2;
const BODY = 33;
const CHECKSUM = 5;

/** Failures: `invalid_input` for numbers that make no sense. */
export async function makeShares(
  secret: Buffer,
  { threshold, shares, now }: { threshold: number; shares: number; now: number },
  random: Random,
): Promise<{ readonly set: ShareSet; readonly texts: readonly string[] }> {
  if (threshold < 2 || shares < threshold || shares > 255) {
    throw new Failure('invalid_input', `${threshold} of ${shares} is no way to share a key.`, {
      hint: 'Take at least 2 as the threshold, and as many shares as that or more: --threshold 3 --shares 5.',
    });
  }
  const set = random.bytes(SET);
  const parts = await split(new Uint8Array(secret), shares, threshold);
  const texts = parts.map((part, index) => write(set, threshold, index + 1, part));
  await proveShares(secret, texts, threshold);
  const id = toBase32(set);
  return { set: { id, threshold, shares, master_key_id: masterKeyId(secret), created_at: now }, texts };
}

/**
 * The key that shares make.
 * Failures: `invalid_input` when a share has a typing error, is of another set, was given twice, or there are too few
 */
export async function combineShares(
  texts: readonly string[],
): Promise<{ secret: Buffer; master_key_id: string }> {
  const read = texts.map((text, index) => readShare(text, index + 1));
  const [first] = read;
  if (first === undefined) throw tooFew(0, undefined);
  for (const [index, share] of read.entries()) {
    if (share.set === first.set) continue;
    throw new Failure(
      'invalid_input',
      `Share ${index + 1} is of the set ${share.set}, but share 1 is of ${first.set}.`,
      {
        hint: 'Take shares of one set. Their first groups tell: they are the same in one set.',
      },
    );
  }
  const distinct = new Map(read.map((share) => [share.number, share.part]));
  if (distinct.size < first.threshold) throw tooFew(distinct.size, first.threshold);
  const secret = Buffer.from(await combine([...distinct.values()]));
  return { secret, master_key_id: masterKeyId(secret) };
}

/** Shares in a text, one a line; empty lines and lines that begin with # are left out. */
export function readLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** Nothing is handed out that was not put together again first: the first ones, and the last ones. */
async function proveShares(secret: Buffer, texts: readonly string[], threshold: number): Promise<void> {
  for (const some of [texts.slice(0, threshold), texts.slice(-threshold)]) {
    if ((await combineShares(some)).secret.equals(secret)) continue;
    throw new Failure('internal', 'The shares do not make the key again.');
  }
}

interface Share {
  readonly set: string;
  readonly threshold: number;
  readonly number: number;
  readonly part: Uint8Array;
}

function write(set: Buffer, threshold: number, number: number, part: Uint8Array): string {
  const content = Buffer.concat([set, Buffer.from([threshold, number]), part]);
  const digits = toBase32(Buffer.concat([content, checksum(content)]));
  return [PREFIX, ...(digits.match(/.{1,8}/g) ?? [])].join('-');
}

function readShare(text: string, position: number): Share {
  const [prefix = '', ...groups] = text
    .trim()
    .toLowerCase()
    .split(/[-\s]+/);
  const bytes = prefix === PREFIX ? fromBase32(groups.join('')) : undefined;
  const content = bytes?.subarray(0, HEADER + BODY);
  const given = bytes?.subarray(HEADER + BODY);
  if (content?.length !== HEADER + BODY || given?.equals(checksum(content)) !== true) {
    throw new Failure('invalid_input', `Share ${position} has a typing error, or is not whole.`, {
      hint: `It begins with ${PREFIX}- and has nine groups after that; compare it group by group with what was written down.`,
    });
  }
  return {
    set: toBase32(content.subarray(0, SET)),
    threshold: content[SET] as number,
    number: content[SET + 1] as number,
    part: new Uint8Array(content.subarray(HEADER)),
  };
}

function checksum(content: Buffer): Buffer {
  return hash('sha256', content, 'buffer').subarray(0, CHECKSUM);
}

/** 5 bytes are 8 digits; every length here is a multiple of 5. */
function toBase32(bytes: Buffer): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += 5) {
    let bits = BigInt(`0x${bytes.subarray(start, start + 5).toString('hex')}`);
    let group = '';
    for (let digit = 0; digit < 8; digit++) {
      group = ALPHABET[Number(bits & 31n)] + group;
      bits >>= 5n;
    }
    text += group;
  }
  return text;
}

/** What was misread as a letter that looks like a digit is read as that digit. */
function fromBase32(text: string): Buffer | undefined {
  const plain = text.replaceAll('o', '0').replaceAll(/[il]/g, '1');
  if (plain.length % 8 !== 0 || ![...plain].every((digit) => ALPHABET.includes(digit))) return undefined;
  const groups = plain.match(/.{8}/g) ?? [];
  const hex = groups.map((group) =>
    [...group]
      .reduce((bits, digit) => (bits << 5n) | BigInt(ALPHABET.indexOf(digit)), 0n)
      .toString(16)
      .padStart(10, '0'),
  );
  return Buffer.from(hex.join(''), 'hex');
}

function tooFew(given: number, threshold: number | undefined): Failure {
  const needed = threshold === undefined ? '' : `, and ${threshold} are needed`;
  return new Failure('invalid_input', `${given} different shares were given${needed}.`, {
    hint: 'Give them one a line on standard input.',
  });
}
