/**
 * The container: POSIX.1-1988 ustar with plain files only. A header has exactly one form for a name, a size and a time,
 * and the reader accepts no other: what two tar programs could understand differently is not in an archive.
 */
import { ByteReader } from './byte-reader.ts';
import { damaged, type Limits } from './format.ts';

const BLOCK = 512;
/** What fits into eleven octal digits. */
const LARGEST = 8 ** 11 - 1;

export interface TarEntry {
  readonly name: string;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly bytes: Buffer;
}

/** The entry as it stands in the tar: its header, its bytes, zeros up to the next block. */
export function* packEntry({ name, mtime, bytes }: TarEntry): Generator<Buffer> {
  yield header(name, bytes.length, mtime);
  if (bytes.length > 0) yield bytes;
  if (bytes.length % BLOCK > 0) yield Buffer.alloc(BLOCK - (bytes.length % BLOCK));
}

/** Two blocks of zeros end a tar. */
export function packEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

/** The entries of a tar. Failures: `refused` naming the place, when it is cut, has a longer end or an odd header. */
export async function* unpack(
  source: AsyncIterable<Uint8Array>,
  limits: Limits,
): AsyncGenerator<TarEntry, void> {
  const reader = new ByteReader(source);
  let last = 'its beginning';
  try {
    for (let entries = 0; ; entries++) {
      const place = entries === 0 ? last : `the entry after ${last}`;
      const block = await reader.take(BLOCK);
      if (block.length < BLOCK) throw damaged(place, 'the tar ends too soon');
      if (isZero(block)) {
        await checkEnd(reader, place);
        return;
      }
      if (entries >= limits.entries) throw damaged(place, `there are more than ${limits.entries} entries`);
      const { name, size, mtime } = readHeader(block, place);
      last = name;
      if (size > limits.entryBytes)
        throw damaged(name, `it says that it has ${size} bytes, which is too many`);
      yield { name, mtime, bytes: await readBody(reader, name, size) };
    }
  } finally {
    await reader.close();
  }
}

async function readBody(reader: ByteReader, name: string, size: number): Promise<Buffer> {
  const bytes = await reader.take(size);
  const padding = await reader.take((BLOCK - (size % BLOCK)) % BLOCK);
  if ((bytes.length + padding.length) % BLOCK !== 0) throw damaged(name, 'the tar ends within it');
  if (!isZero(padding)) throw damaged(name, 'the bytes that fill its last block are not zero');
  return bytes;
}

async function checkEnd(reader: ByteReader, place: string): Promise<void> {
  const second = await reader.take(BLOCK);
  if (second.length < BLOCK || !isZero(second)) throw damaged(place, 'the end of the tar is not whole');
  if ((await reader.take(1)).length > 0) throw damaged('the end of the tar', 'something follows it');
}

function readHeader(block: Buffer, place: string): { name: string; size: number; mtime: number } {
  const name = block.toString('latin1', 0, block.subarray(0, 100).indexOf(0));
  const size = Number.parseInt(block.toString('latin1', 124, 135), 8);
  const mtime = Number.parseInt(block.toString('latin1', 136, 147), 8);
  const isOurs = name !== '' && size >= 0 && mtime >= 0 && block.equals(header(name, size, mtime));
  if (!isOurs) throw damaged(place, 'this is not a header that we write');
  return { name, size, mtime };
}

function header(name: string, size: number, mtime: number): Buffer {
  if (name.length > 99) throw new RangeError(`the name ${name} is too long for a tar`);
  if (size > LARGEST || mtime > LARGEST) throw new RangeError(`${name} is too large for a tar`);
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, 'latin1');
  block.write('0000600\0', 100, 'latin1'); // mode
  block.write('0000000\0', 108, 'latin1'); // user
  block.write('0000000\0', 116, 'latin1'); // group
  block.write(`${octal(size, 11)}\0`, 124, 'latin1');
  block.write(`${octal(mtime, 11)}\0`, 136, 'latin1');
  block.write('        ', 148, 'latin1'); // The checksum is counted as if it were blanks.
  block.write('0', 156, 'latin1'); // a plain file
  block.write('ustar\x0000', 257, 'latin1');
  block.write('0000000\0', 329, 'latin1'); // device, major
  block.write('0000000\0', 337, 'latin1'); // device, minor
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148, 'latin1');
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
