/** Compression: one zstd frame (RFC 8878) with a checksum of its content. */
import { pipeline, Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { damaged, type Limits } from './format.ts';

/** Rows with ids of chance become smaller with it than with 3, in half the time (docs/decisions/0016). */
const LEVEL = 1;
/** 8 MiB: sixteen times what this level uses. What a frame may ask of the reader's memory ends here. */
const LARGEST_WINDOW = 23;
const PIECE = 256 * 1024;

/** The first bytes of a frame. */
export const ZSTD_MAGIC = Buffer.from('28b52ffd', 'hex');

export async function* compress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 };
  const zstd = createZstdCompress({ chunkSize: PIECE, params });
  const made: Buffer[] = [];
  zstd.on('data', (bytes: Buffer) => made.push(bytes));
  // What fails is thrown by whatever waits for it.
  zstd.on('error', ignore);
  try {
    for await (const bytes of source) {
      await new Promise<void>((resolve, reject) => {
        zstd.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
      yield* made.splice(0);
    }
    // Only when nothing waits to be compressed: node:zlib would end the frame twice, and so add an empty one.
    zstd.end();
    await finished(zstd);
    yield* made;
  } finally {
    zstd.destroy();
  }
}

/** Failures: `refused` when it is no whole frame, something follows it, or it becomes more than the limits allow. */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  limits: Limits,
): AsyncGenerator<Buffer, void> {
  const zstd = createZstdDecompress({
    chunkSize: PIECE,
    rejectGarbageAfterEnd: true,
    params: { [constants.ZSTD_d_windowLogMax]: LARGEST_WINDOW },
  });
  let given = 0;
  const counted = async function* () {
    for await (const bytes of source) {
      given += bytes.length;
      yield bytes;
    }
  };
  pipeline(Readable.from(counted(), { objectMode: true, highWaterMark: 1 }), zstd, ignore);
  let made = 0;
  try {
    for await (const bytes of zstd as AsyncIterable<Buffer>) {
      made += bytes.length;
      checkGrowth(made, given, limits);
      yield bytes;
    }
  } catch (error) {
    if (!isZstdError(error)) throw error;
    throw damaged(
      `byte ${made} of the tar`,
      'the compressed data is broken, cut, or longer than its end',
      error,
    );
  }
}

function checkGrowth(made: number, given: number, limits: Limits): void {
  const place = `byte ${made} of the tar`;
  if (made > limits.totalBytes) throw damaged(place, `the tar is longer than ${limits.totalBytes} bytes`);
  if (made > limits.entryBytes && made > given * limits.ratio) {
    throw damaged(place, `${given} bytes have become more than ${limits.ratio} times as many`);
  }
}

function isZstdError(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && /^(ZSTD_|Z_|ERR_TRAILING_JUNK)/.test(String(error.code))
  );
}

function ignore(): void {}
