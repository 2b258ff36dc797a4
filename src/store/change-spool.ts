/**
 * Frames on their way to the backup targets: plain files beside the database, which the writer appends to and the shipper
 * reads. A file is a line of JSON that says which frames it holds, and the frames.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { frameSize, isChain, readFrame, type WrittenFrame } from './change-frame.ts';

export interface SpoolHeader {
  readonly chain: string;
  /** Of the first frame in this file. */
  readonly first: number;
  /** Before that frame, hexadecimal. */
  readonly digest: string;
  readonly deployment_id: string;
  readonly restore_epoch: number;
  readonly schema_version: number;
  /** When the chain began, ms. */
  readonly begun_at: number;
  /** When the frame before was made, or the chain began, ms. */
  readonly since: number;
  /** Why the chain began. */
  readonly reason: string;
}

export interface SpoolFile {
  readonly path: string;
  readonly chain: string;
  readonly first: number;
  readonly size: number;
}

/** What a reader has seen of a file: where the next frame begins, and what comes before it. */
export interface SpoolMark {
  readonly offset: number;
  readonly batch: number;
  readonly digest: Buffer;
}

const NAME = /^spool-(?<chain>[0-9a-z]{26})-(?<first>\d{12})$/;
const LINE_FEED = 0x0a;
const LONGEST_HEADER = 4096;
const READ_AT_ONCE = 2 ** 20;

/** The folder of the spool of a database file. */
export function spoolFolder(databasePath: string): string {
  return path.join(path.dirname(databasePath), 'log');
}

export function spoolName({ chain, first }: Pick<SpoolHeader, 'chain' | 'first'>): string {
  return `spool-${chain}-${String(first).padStart(12, '0')}`;
}

/** The files there are, in the order of their chains and frames. */
export function listSpool(folder: string): readonly SpoolFile[] {
  const files: SpoolFile[] = [];
  for (const name of namesIn(folder).sort()) {
    const { chain, first } = NAME.exec(name)?.groups ?? {};
    const size = statSync(path.join(folder, name), { throwIfNoEntry: false })?.size;
    if (chain === undefined || size === undefined) continue;
    files.push({ path: path.join(folder, name), chain, first: Number(first), size });
  }
  return files;
}

/** Undefined when it is gone, or has no header. */
export function readSpoolHeader(
  file: string,
): { readonly header: SpoolHeader; readonly start: SpoolMark } | undefined {
  const bytes = readPart(file, 0, LONGEST_HEADER);
  const end = bytes?.indexOf(LINE_FEED) ?? -1;
  if (!bytes || end === -1) return undefined;
  try {
    const header = JSON.parse(bytes.toString('utf8', 0, end)) as SpoolHeader;
    const digest = Buffer.from(header.digest, 'hex');
    return { header, start: { offset: end + 1, batch: header.first - 1, digest } };
  } catch {
    return undefined;
  }
}

export function headerLine(header: SpoolHeader): Buffer {
  return Buffer.from(`${JSON.stringify(header)}\n`);
}

/** The whole frames of a file from a mark on; a torn end is left out. */
export function* framesFrom(
  file: string,
  mark: SpoolMark,
): Generator<{ frame: WrittenFrame; next: SpoolMark }> {
  let { offset, batch, digest } = mark;
  for (let wanted = READ_AT_ONCE; ; ) {
    const bytes = readPart(file, offset, wanted);
    if (!bytes || bytes.length === 0) return;
    let at = 0;
    for (;;) {
      const frame = readFrame(bytes, at, digest);
      if (!frame || frame.batch !== batch + 1) break;
      at += frame.bytes.length;
      batch = frame.batch;
      digest = frame.digest;
      yield { frame, next: { offset: offset + at, batch, digest } };
    }
    const needed = frameSize(bytes, at);
    // A frame that is longer than what was read is read alone; anything else here is the end, or damage.
    if (at === 0 && (needed === undefined || needed <= bytes.length || bytes.length < wanted)) return;
    wanted = Math.max(READ_AT_ONCE, needed ?? 0);
    offset += at;
  }
}

export function removeSpool(file: SpoolFile): void {
  rmSync(file.path, { force: true });
}

/** The highest batch of the chain that somebody has begun to ship: it was committed, whatever the database says now. */
export function shippedUpTo(folder: string, chain: string): number {
  try {
    return Number(readFileSync(shippedFile(folder, chain), 'utf8')) || 0;
  } catch {
    return 0;
  }
}

/** To be said before it is done. */
export function noteShipped(folder: string, chain: string, batch: number): void {
  writeFileSync(shippedFile(folder, chain), `${batch}\n`, { mode: 0o600 });
}

/** Forgets the notes of chains that have no files. */
export function sweepNotes(folder: string): void {
  const chains = new Set(listSpool(folder).map(({ chain }) => chain));
  for (const name of namesIn(folder)) {
    const chain = /^shipped-(.+)$/.exec(name)?.[1];
    if (chain !== undefined && isChain(chain) && !chains.has(chain))
      rmSync(path.join(folder, name), { force: true });
  }
}

function shippedFile(folder: string, chain: string): string {
  return path.join(folder, `shipped-${chain}`);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Undefined when the file is gone. */
function readPart(file: string, offset: number, length: number): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return undefined;
  }
  try {
    const there = Math.max(0, fstatSync(descriptor).size - offset);
    const bytes = Buffer.allocUnsafe(Math.min(length, there));
    let filled = 0;
    for (let read = -1; read !== 0 && filled < bytes.length; filled += read) {
      read = readSync(descriptor, bytes, filled, bytes.length - filled, offset + filled);
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(descriptor);
  }
}
