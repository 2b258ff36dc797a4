/** What a restore does to the file system. Each verb is on the disk when it resolves; a test hands in a disk that forgets. */
import * as nodeDisk from 'node:fs/promises';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';

/** What is used of the file system. */
export type Disk = Pick<
  typeof nodeDisk,
  'open' | 'mkdir' | 'stat' | 'rename' | 'unlink' | 'rm' | 'readdir' | 'statfs'
>;

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Failures of all: `configuration` where this user may not, `unavailable` for a disk that is full or failing. */
export class Files {
  readonly #disk: Disk;

  constructor(disk: Disk = nodeDisk) {
    this.#disk = disk;
  }

  async exists(place: string): Promise<boolean> {
    return (await this.#size(place)) !== undefined;
  }

  async isFolder(place: string): Promise<boolean> {
    return (await this.#disk.stat(place).catch(unlessMissing))?.isDirectory() ?? false;
  }

  /** Bytes; 0 where there is nothing. */
  async size(place: string): Promise<number> {
    return (await this.#size(place)) ?? 0;
  }

  async read(file: string): Promise<string | undefined> {
    return this.#attempt(file, async () => {
      const handle = await this.#disk.open(file, 'r').catch(unlessMissing);
      try {
        return await handle?.readFile('utf8');
      } finally {
        await handle?.close();
      }
    });
  }

  async names(folder: string): Promise<string[]> {
    return this.#attempt(folder, async () => (await this.#disk.readdir(folder).catch(unlessMissing)) ?? []);
  }

  async makeFolder(folder: string): Promise<void> {
    await this.#attempt(folder, async () => {
      const made = await this.#disk.mkdir(folder, { recursive: true, mode: FOLDER_MODE });
      if (made !== undefined) await this.#flush(path.dirname(made));
    });
  }

  /** A reader sees the old file or the new one, whatever moment the power goes. */
  async write(file: string, text: string): Promise<void> {
    const unfinished = `${file}.tmp`;
    await this.#attempt(file, async () => {
      try {
        await this.#writeThrough(unfinished, text);
        await this.#disk.rename(unfinished, file);
      } catch (error) {
        await this.#disk.rm(unfinished, { force: true }).catch(() => undefined);
        throw error;
      }
      await this.#flush(path.dirname(file));
    });
  }

  /** Takes another name, in place of whatever has it. */
  async move(from: string, to: string): Promise<void> {
    await this.#attempt(to, async () => {
      await this.#disk.rename(from, to);
      await this.#flush(path.dirname(to));
      if (path.dirname(from) !== path.dirname(to)) await this.#flush(path.dirname(from));
    });
  }

  /** A file, or a folder with all that is in it; nothing happens where there is none. */
  async remove(place: string): Promise<void> {
    await this.#attempt(place, async () => {
      if ((await this.#size(place)) === undefined) return;
      await this.#disk.rm(place, { recursive: true, force: true });
      await this.#flush(path.dirname(place));
    });
  }

  /** What somebody else has written there, or the names in a folder, are on the disk from now on. */
  async flush(place: string): Promise<void> {
    await this.#attempt(place, () => this.#flush(place));
  }

  /** Free bytes where that file is, or is to be. */
  async free(place: string): Promise<number> {
    return this.#attempt(place, async () => {
      let folder = place;
      while ((await this.#size(folder)) === undefined) folder = path.dirname(folder);
      const { bavail, bsize } = await this.#disk.statfs(folder);
      return bavail * bsize;
    });
  }

  async #writeThrough(file: string, text: string): Promise<void> {
    const handle = await this.#disk.open(file, 'w', FILE_MODE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #flush(place: string): Promise<void> {
    const handle = await this.#disk.open(place, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #size(place: string): Promise<number | undefined> {
    return (await this.#disk.stat(place).catch(unlessMissing))?.size;
  }

  async #attempt<T>(place: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const code = codeOf(cause);
      if (code === undefined || cause instanceof Failure) throw cause;
      const isLasting = NOT_ALLOWED.has(code);
      throw new Failure(
        isLasting ? 'configuration' : 'unavailable',
        `Cannot write or read ${place} (${code}).`,
        {
          hint: isLasting
            ? 'Run this as the user that the server runs as, and let that user write there.'
            : 'Look at the disk: is it full, or failing? Then run the command again.',
          cause,
        },
      );
    }
  }
}

const NOT_ALLOWED = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOTDIR',
  'EISDIR',
  'ENAMETOOLONG',
  'EXDEV',
  'EBUSY',
]);

/** The code of an error of the operating system. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : undefined;
}

function unlessMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}
