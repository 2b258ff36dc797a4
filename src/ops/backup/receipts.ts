/**
 * Receipts of removals: lines that are only ever added, each with the digest of the one before, so that a backup that is
 * gone can be told from one that was taken away. They lie in the state directory of whoever removes.
 */
import { hash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { Failure } from '../../kernel/errors.ts';

const receipt = z.object({
  type: z.enum(['authserver.removal', 'authserver.removal-withdrawn']),
  id: z.string(),
  target: z.string(),
  /** ms */
  at: z.number(),
  sequence: z.number().nullable(),
  made_at: z.number().nullable(),
  sha256: z.string().nullable(),
  reasons: z.array(z.string()),
  /** SHA-256 of the line before with its line feed, hexadecimal; empty in the first one. */
  previous: z.string(),
});

export type Receipt = Readonly<z.output<typeof receipt>>;

/** What is kept of a removal, before it happens. */
export interface Removal {
  readonly id: string;
  readonly target: string;
  readonly sequence: number | null;
  readonly made_at: number | null;
  readonly sha256: string | null;
  readonly reasons: readonly string[];
}

export interface Receipts {
  /** It is on the disk when this resolves. */
  write(removal: Removal): Promise<void>;
  /** The removal did not come about. */
  withdraw(removal: Removal, reason: string): Promise<void>;
}

/** Its name in the state directory. */
export const RECEIPTS_FILE = 'receipts.ndjson';

/** Failures: `configuration` when the file cannot be written. */
export function receiptsIn(file: string, now: () => number): Receipts {
  const add = async (
    type: Receipt['type'],
    { id, target, sequence, made_at, sha256 }: Removal,
    reasons: readonly string[],
  ) => {
    const last = (await wholeLines(file)).at(-1);
    const previous = last === undefined ? '' : digest(last);
    const value: Receipt = {
      type,
      id,
      target,
      at: now(),
      sequence,
      made_at,
      sha256,
      reasons: [...reasons],
      previous,
    };
    await append(file, `${JSON.stringify(value)}\n`);
  };
  return {
    write: (removal) => add('authserver.removal', removal, removal.reasons),
    withdraw: (removal, reason) => add('authserver.removal-withdrawn', removal, [reason]),
  };
}

/**
 * The removals that came about, by what `Receipts` has written.
 * @returns `isWhole` is false when a line was changed, or taken out, since
 */
export function readReceipts(text: string): {
  readonly receipts: readonly Receipt[];
  readonly isWhole: boolean;
} {
  const found: Receipt[] = [];
  let isWhole = text === '' || text.endsWith('\n');
  let previous = '';
  for (const line of splitLines(text)) {
    const read = receipt.safeParse(parse(line));
    if (!read.success || read.data.previous !== previous) isWhole = false;
    if (read.success) found.push(read.data);
    previous = digest(line);
  }
  const withdrawn = (each: Receipt, at: number) =>
    found.some(
      ({ type, id, target }, later) =>
        later > at && type === 'authserver.removal-withdrawn' && id === each.id && target === each.target,
    );
  const receipts = found.filter((each, at) => each.type === 'authserver.removal' && !withdrawn(each, at));
  return { receipts, isWhole };
}

async function wholeLines(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(unlessMissing);
  return splitLines(text.slice(0, text.lastIndexOf('\n') + 1));
}

function splitLines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function digest(line: string): string {
  return hash('sha256', `${line}\n`, 'hex');
}

async function append(file: string, line: string): Promise<void> {
  try {
    const text = await readFile(file, 'utf8').catch(unlessMissing);
    await writeThrough(file, async (handle) => {
      // What was cut off within a line is no receipt, and must not become the beginning of one.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      if (whole.length < text.length) await handle.truncate(Buffer.byteLength(whole));
      await handle.writeFile(line);
    });
    // The name of the first one has to last, too.
    if (text === '') await flush(path.dirname(file));
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Failure(
      'configuration',
      `Nothing is removed without a receipt, and ${file} cannot be written (${code}).`,
      {
        hint: 'See that the state directory belongs to this user and is not full.',
        cause,
      },
    );
  }
}

async function writeThrough(file: string, work: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(file, 'a', 0o600);
  try {
    await work(handle);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function flush(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unlessMissing(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
  throw error;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
