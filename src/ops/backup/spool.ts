/** The folder in which an archive is put together before it goes to the targets. */
import { mkdir, open, readdir, rm, unlink } from 'node:fs/promises';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';

const PIECE = 256 * 1024;
const FAILING_DISK = new Set(['ENOSPC', 'EDQUOT', 'EIO']);
/** What this folder's files are called: nothing else in there is ours. */
const OURS = /^\d{8}-\d{8}T\d{6}Z-[a-z0-9]{4}\.part$/;

export class Spool {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Makes the folder, and takes away what runs that were killed have left. Only whoever has the lease may.
   * Failures: `unavailable` for a disk that is full or failing, `configuration` where this user may not.
   */
  async prepare(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      for (const name of await readdir(this.#folder)) {
        if (OURS.test(name)) await rm(path.join(this.#folder, name), { force: true });
      }
    } catch (cause) {
      throw this.#unusable(cause);
    }
  }

  fileOf(id: string): string {
    return path.join(this.#folder, `${id}.part`);
  }

  async remove(id: string): Promise<void> {
    await unlink(this.fileOf(id)).catch(() => undefined);
  }

  async *read(id: string): AsyncGenerator<Buffer, void> {
    const handle = await open(this.fileOf(id), 'r');
    try {
      for (;;) {
        const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(PIECE), 0, PIECE, null);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  #unusable(cause: unknown): unknown {
    if (!(cause instanceof Error && 'syscall' in cause && 'code' in cause)) return cause;
    const code = String(cause.code);
    const isPassing = FAILING_DISK.has(code);
    return new Failure(
      isPassing ? 'unavailable' : 'configuration',
      `No archive can be put together in ${this.#folder} (${code}).`,
      {
        hint: isPassing
          ? 'Look at the disk of the state directory: is it full, or failing? Then run the command again.'
          : 'See that the state directory belongs to the user of this server.',
        cause,
      },
    );
  }
}
