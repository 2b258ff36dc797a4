/**
 * What was committed together, as the recovery log keeps it: the frames of a chain follow each other without gaps, and each
 * ends with a digest over the digest before it and itself. See docs/recovery-log-format.md.
 */
import { hash } from 'node:crypto';

/** Where in the log a database stands: all batches of the chain up to this one are in it. */
export interface LogPosition {
  readonly chain: string;
  readonly batch: number;
}

export interface Frame {
  /** From 1 in each chain. */
  readonly batch: number;
  /** ms; never less than that of the frame before. */
  readonly at: number;
  /** An SQLite changeset. */
  readonly changes: Uint8Array;
}

/** A frame with its digest, as it is written. */
export interface WrittenFrame extends Frame {
  readonly bytes: Buffer;
  readonly digest: Buffer;
}

/** The settings row that holds the position, as JSON. */
export const POSITION = 'recovery.position';

/** What stands there once the chain was ended. */
export const NO_POSITION = '{}';

const HEAD = 20;
const DIGEST = 32;
const CHAIN = /^[0-9a-z]{26}$/;

/** The digest before the first frame of a chain. */
export function firstDigest(chain: string): Buffer {
  return hash('sha256', chain, 'buffer');
}

export function writeFrame({ batch, at, changes }: Frame, before: Uint8Array): WrittenFrame {
  const bytes = Buffer.allocUnsafe(HEAD + changes.length + DIGEST);
  bytes.writeUInt32BE(changes.length, 0);
  bytes.writeBigUInt64BE(BigInt(batch), 4);
  bytes.writeBigUInt64BE(BigInt(at), 12);
  bytes.set(changes, HEAD);
  const digest = digestOf(bytes.subarray(0, HEAD + changes.length), before);
  bytes.set(digest, HEAD + changes.length);
  return { batch, at, changes, bytes, digest };
}

/**
 * The frame that begins at `offset`; undefined when it is not whole yet, or is not the one that follows the digest `before`.
 */
export function readFrame(bytes: Buffer, offset: number, before: Uint8Array): WrittenFrame | undefined {
  const size = frameSize(bytes, offset);
  if (size === undefined || offset + size > bytes.length) return undefined;
  const end = offset + size - DIGEST;
  const digest = bytes.subarray(end, end + DIGEST);
  if (!digestOf(bytes.subarray(offset, end), before).equals(digest)) return undefined;
  return {
    batch: Number(bytes.readBigUInt64BE(offset + 4)),
    at: Number(bytes.readBigUInt64BE(offset + 12)),
    changes: bytes.subarray(offset + HEAD, end),
    bytes: bytes.subarray(offset, offset + size),
    digest,
  };
}

/** How long the frame is that begins at `offset`; undefined when its head is not there whole. */
export function frameSize(bytes: Buffer, offset: number): number | undefined {
  if (offset + HEAD > bytes.length) return undefined;
  return HEAD + bytes.readUInt32BE(offset) + DIGEST;
}

export function readPosition(value: string | undefined): LogPosition | undefined {
  if (value === undefined) return undefined;
  try {
    const { chain, batch } = Object(JSON.parse(value)) as Partial<LogPosition>;
    if (typeof chain !== 'string' || !isChain(chain)) return undefined;
    return Number.isSafeInteger(batch) && Number(batch) >= 0 ? { chain, batch: Number(batch) } : undefined;
  } catch {
    return undefined;
  }
}

export function isChain(text: string): boolean {
  return CHAIN.test(text);
}

function digestOf(bytes: Uint8Array, before: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([before, bytes]), 'buffer');
}
