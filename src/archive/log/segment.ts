/**
 * Segments of the recovery log: what was committed between two backups, in files beside them, described byte by byte in
 * docs/recovery-log-format.md. A segment is a signed line that says what it holds, and the body: frames or rows as bytes, in
 * zstd, in age.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Failure } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { decrypt, type Encryption, encrypt, type Identities } from '../age.ts';
import { ByteReader } from '../byte-reader.ts';
import { damaged } from '../format.ts';
import { readRecord } from '../manifest.ts';
import { checkTrust, readSigned, type Signer, signLine, type Trust } from '../signature.ts';
import type { Shelf } from '../targets/shelf.ts';
import { untilAborted } from '../until-aborted.ts';
import { compress, decompress } from '../zstd.ts';
import { isLogChain, readSegmentName } from './names.ts';

const LOG_FORMAT = 1;

const LONGEST_HEADER = 16 * 1024;
/** Bytes of a body: one batch is in one segment, however large. */
const LARGEST_BODY = 2 ** 31 - 1;

const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** What a segment and the head of a chain say alike. */
export const chainMembers = {
  format: z.literal(LOG_FORMAT),
  kind: z.enum(['changes', 'revocations']),
  chain: z.string().refine(isLogChain),
  deployment_id: z.string().min(1),
  restore_epoch: count,
  schema_version: count,
};

const segmentHeader = z.strictObject({
  type: z.literal('authserver.log-segment'),
  ...chainMembers,
  /** Numbers of the first and the last frame, or row, in it; 0 both for what comes before the first. */
  first: count,
  last: count,
  /** When those were committed, ms. */
  from: count,
  to: count,
  /** The digests before the first frame and after the last, hexadecimal: so segments hang together. */
  before: digest,
  after: digest,
  encryption: z.enum(['age', 'passphrase', 'none']),
  /** The file beside it that holds the age identity of the chain, opened by the passphrase; null without one. */
  key: z.string().nullable(),
  plain_size: count.max(LARGEST_BODY),
  /** Of the body. */
  size: count.max(LARGEST_BODY),
  sha256: digest,
});

/** What a segment says of itself, signed. */
export type SegmentHeader = Readonly<z.output<typeof segmentHeader>>;

export interface Segment {
  readonly name: string;
  readonly header: SegmentHeader;
  readonly bytes: Buffer;
}

/** What is said of a body by whoever makes it. */
export type SegmentClaim = Omit<
  SegmentHeader,
  'type' | 'format' | 'encryption' | 'key' | 'plain_size' | 'size' | 'sha256'
>;

export interface Sealing {
  readonly encryption: Encryption;
  /** The file of the key that `encryption` is to, where it is one of the chain. */
  readonly key: string | null;
  readonly signer: Signer;
  readonly random: Random;
}

/** Who is to be believed, and what opens a body. */
export interface SegmentReading {
  readonly deploymentId: string;
  readonly trust: Trust;
  readonly signal?: AbortSignal;
}

/** Failures: `invalid_input` when there is no recipient. */
export async function sealSegment(
  name: string,
  claim: SegmentClaim,
  plain: readonly Uint8Array[],
  { encryption, key, signer, random }: Sealing,
): Promise<Segment> {
  // Frames are small: given one by one, the way into the compressor would cost twenty times what it does.
  const packed = compress(each([Buffer.concat(plain)]));
  const body = await collect(encryption.kind === 'none' ? packed : encrypt(packed, encryption, random));
  const header: SegmentHeader = {
    type: 'authserver.log-segment',
    format: LOG_FORMAT,
    ...claim,
    encryption: encryption.kind,
    key,
    plain_size: plain.reduce((sum, { length }) => sum + length, 0),
    size: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
  };
  return { name, header, bytes: Buffer.concat([await signLine(signer, header), body]) };
}

/** Only what it says of itself. Failures: `refused` when that is not so or not from there; `not_found`, `unavailable`. */
export async function readSegmentHeader(
  shelf: Shelf,
  name: string,
  reading: SegmentReading,
): Promise<SegmentHeader> {
  const reader = new ByteReader(shelf.read(name, reading.signal));
  try {
    return await readHeader(reader, name, reading);
  } finally {
    await reader.close();
  }
}

/** All of it, whole and as it was signed; the body as it is stored. Failures besides: `refused` when it is damaged. */
export async function readSegment(
  shelf: Shelf,
  name: string,
  reading: SegmentReading,
): Promise<{ readonly header: SegmentHeader; readonly body: Buffer }> {
  const reader = new ByteReader(
    untilAborted(shelf.read(name, reading.signal), reading.signal, 'Reading the log'),
  );
  try {
    const header = await readHeader(reader, name, reading);
    const body = await reader.take(header.size);
    const more = await reader.take(1);
    const digest = createHash('sha256').update(body).digest('hex');
    if (body.length !== header.size || more.length > 0 || digest !== header.sha256) {
      throw damagedSegment(name, 'its body is not the one that was signed');
    }
    return { header, body };
  } finally {
    await reader.close();
  }
}

/** What is in the body. Failures: `refused` when nothing at hand opens it, or it is damaged. */
export async function openBody(
  name: string,
  { header, body }: { readonly header: SegmentHeader; readonly body: Buffer },
  identities: Identities,
): Promise<Buffer> {
  const packed = header.encryption === 'none' ? each([body]) : decrypt(each([body]), identities);
  const limits = {
    totalBytes: header.plain_size,
    entryBytes: header.plain_size,
    entries: 1,
    ratio: Infinity,
  };
  const plain = await collect(decompress(packed, limits));
  if (plain.length !== header.plain_size) throw damagedSegment(name, 'it is not as long as it says');
  return plain;
}

/** @param why what is wrong there */
export function damagedSegment(name: string, why: string): Failure {
  return damaged(`the log segment ${name}`, why);
}

async function readHeader(
  reader: ByteReader,
  name: string,
  { deploymentId, trust }: SegmentReading,
): Promise<SegmentHeader> {
  const line = await reader.line(LONGEST_HEADER);
  const signature = await reader.line(LONGEST_HEADER);
  const signed = line && signature && readSigned(Buffer.concat([line, signature]));
  if (!signed) throw damagedSegment(name, 'its signature does not hold');
  checkTrust(signed.signedBy, trust);
  const header = readRecord(segmentHeader, signed.line, name);
  if (header.deployment_id !== deploymentId) {
    throw new Failure('refused', `The log segment ${name} belongs to deployment ${header.deployment_id}.`);
  }
  // A segment under the name of another would be taken for what it is not.
  const named = readSegmentName(name);
  if (named?.chain !== header.chain || named.first !== header.first || named.last !== header.last) {
    throw damagedSegment(name, 'it has the name of another');
  }
  return header;
}

async function* each(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* pieces;
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}
