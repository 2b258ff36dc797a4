import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { firstDigest, type LogPosition, type WrittenFrame } from '../change-frame.ts';
import {
  framesFrom,
  headerLine,
  listSpool,
  readSpoolHeader,
  removeSpool,
  type SpoolHeader,
  type SpoolMark,
  spoolName,
} from '../change-spool.ts';

/** A file of the spool goes when all of it was shipped, so it must not be long; nor should there be many. */
const LONGEST_FILE = 4 * 2 ** 20;

interface State {
  readonly descriptor: number;
  readonly header: SpoolHeader;
  readonly mark: SpoolMark;
  /** Of the last frame, ms. */
  readonly time: number;
}

/** Appends frames to the spool, for a process that is killed at any moment: each is one write, and needs no flush. */
export class SpoolWriter {
  readonly #folder: string;
  readonly #longestFile: number;
  #state: State;

  constructor(folder: string, state: State, longestFile: number) {
    this.#folder = folder;
    this.#state = state;
    this.#longestFile = longestFile;
  }

  /**
   * Answers how to take the frame back.
   * @throws what the file system says; then nothing was appended
   */
  append(make: (before: Uint8Array) => WrittenFrame): () => void {
    if (this.isFileFull) this.#roll();
    const before = this.#state;
    const { descriptor, mark } = before;
    const frame = make(mark.digest);
    const takeBack = () => {
      ftruncateSync(descriptor, mark.offset);
      this.#state = before;
    };
    try {
      writeAll(descriptor, frame.bytes, mark.offset);
    } catch (error) {
      takeBack();
      throw error;
    }
    const next = { offset: mark.offset + frame.bytes.length, batch: frame.batch, digest: frame.digest };
    this.#state = { ...before, mark: next, time: frame.at };
    return takeBack;
  }

  /** The next frame begins another. */
  get isFileFull(): boolean {
    return this.#state.mark.offset > this.#longestFile;
  }

  close(): void {
    closeSync(this.#state.descriptor);
  }

  #roll(): void {
    const { descriptor, header, mark, time } = this.#state;
    const next = { ...header, first: mark.batch + 1, digest: mark.digest.toString('hex'), since: time };
    this.#state = beginFile(this.#folder, next);
    closeSync(descriptor);
  }
}

export interface ResumeRequest {
  /** Where the database stands. */
  readonly position: LogPosition;
  readonly restoreEpoch: number;
  /** Of the chain: what was shipped was committed. */
  readonly shipped: number;
  readonly longestFile?: number;
}

/** The spool that ends where the database stands; otherwise why there is none, and then it is left as it is. */
export function resumeSpool(
  folder: string,
  { position, restoreEpoch, shipped, longestFile = LONGEST_FILE }: ResumeRequest,
): { readonly spool: SpoolWriter; readonly time: number } | { readonly fault: string } {
  const file = listSpool(folder).findLast(({ chain }) => chain === position.chain);
  const opened = file && readSpoolHeader(file.path);
  if (!file || !opened) return { fault: 'its spool is not there' };
  const { header, start } = opened;
  if (header.restore_epoch !== restoreEpoch) return { fault: 'the database was restored' };
  let state = { mark: start, time: header.since };
  let end = start.batch;
  for (const { frame, next } of framesFrom(file.path, start)) {
    end = frame.batch;
    if (frame.batch <= position.batch) state = { mark: next, time: frame.at };
  }
  // One frame more is what a process leaves that was killed before its commit; it never happened.
  const isKilled = end === position.batch + 1 && end > shipped;
  if (state.mark.batch !== position.batch || (end > position.batch && !isKilled)) {
    return { fault: `the database stands at batch ${position.batch}, the log at ${end}` };
  }
  const descriptor = openSync(file.path, 'r+');
  ftruncateSync(descriptor, state.mark.offset);
  return { spool: new SpoolWriter(folder, { descriptor, header, ...state }, longestFile), time: state.time };
}

/** @throws what the file system says */
export function beginSpool(
  folder: string,
  header: Omit<SpoolHeader, 'first' | 'digest'>,
  longestFile = LONGEST_FILE,
): SpoolWriter {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const first = { ...header, first: 1, digest: firstDigest(header.chain).toString('hex') };
  return new SpoolWriter(folder, beginFile(folder, first), longestFile);
}

/** Takes away all that waits. */
export function dropSpool(folder: string): void {
  for (const file of listSpool(folder)) removeSpool(file);
}

/** Bytes of all that lies there. */
export function spoolSize(folder: string): number {
  return listSpool(folder).reduce((sum, { size }) => sum + size, 0);
}

function beginFile(folder: string, header: SpoolHeader): State {
  // What is there by this name was begun by a process that was killed before its commit.
  const file = path.join(folder, spoolName(header));
  const descriptor = openSync(file, 'w', 0o600);
  const line = headerLine(header);
  try {
    writeAll(descriptor, line, 0);
  } catch (error) {
    closeSync(descriptor);
    // A full disk would get another one with each batch.
    rmSync(file, { force: true });
    throw error;
  }
  const mark = { offset: line.length, batch: header.first - 1, digest: Buffer.from(header.digest, 'hex') };
  return { descriptor, header, mark, time: header.since };
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
  }
}
