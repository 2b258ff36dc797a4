/**
 * Backups in a folder. A file gets its name when it is whole and on the disk: it is written under another name, flushed,
 * renamed, and the folder is flushed.
 */
import * as nodeDisk from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Failure, meansFull } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { untilAborted } from '../until-aborted.ts';
import type { Shelf, ShelfDescription, ShelfFile, ShelfWrite } from './shelf.ts';

/** What is used of the file system. */
export type Disk = Pick<typeof nodeDisk, 'open' | 'mkdir' | 'stat' | 'rename' | 'unlink' | 'readdir'>;

export interface FolderParts {
  readonly folder: string;
  readonly random: Random;
  /** Another file system, to see what a crash leaves behind. */
  readonly disk?: Disk;
}

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const PARTIAL = /^\.[\w.-]+\.partial-[0-9a-f]{12}$/;
const PIECE = 256 * 1024;

export class Folder implements Shelf {
  readonly #folder: string;
  readonly #random: Random;
  readonly #disk: Disk;

  constructor({ folder, random, disk = nodeDisk }: FolderParts) {
    this.#folder = resolve(folder);
    this.#random = random;
    this.#disk = disk;
  }

  describe(): ShelfDescription {
    return { kind: 'file', place: this.#folder };
  }

  async write(name: string, source: AsyncIterable<Uint8Array>, { signal }: ShelfWrite = {}): Promise<void> {
    const partial = `.${name}.partial-${this.#random.bytes(6).toString('hex')}`;
    await this.#prepare();
    try {
      await this.#writeThrough(partial, untilAborted(source, signal, 'Writing the backup'));
      await this.#attempt(() => this.#disk.rename(this.#path(partial), this.#path(name)));
    } catch (error) {
      await this.#disk.unlink(this.#path(partial)).catch(() => undefined);
      throw error;
    }
    await this.#flush(this.#folder);
  }

  async *read(name: string, signal?: AbortSignal): AsyncGenerator<Buffer, void> {
    const handle = await this.#attempt(() => this.#disk.open(this.#path(name), 'r'));
    try {
      yield* untilAborted(piecesOf(handle), signal, 'Reading the backup');
    } finally {
      await handle.close();
    }
  }

  async *list(after: string): AsyncGenerator<ShelfFile, void> {
    for (const name of await this.#names()) {
      if (name.startsWith('.') || Buffer.compare(Buffer.from(name), Buffer.from(after)) <= 0) continue;
      // It may have been removed since.
      const stats = await this.#attempt(() => this.#disk.stat(this.#path(name)).catch(unlessMissing));
      if (stats?.isFile()) yield { name, size: stats.size, modifiedAt: stats.mtimeMs };
    }
  }

  async remove(name: string): Promise<void> {
    await this.#attempt(() => this.#disk.unlink(this.#path(name)).catch(unlessMissing));
    await this.#flush(this.#folder);
  }

  async sweep(before: number): Promise<string[]> {
    const swept: string[] = [];
    for (const name of (await this.#names()).filter((each) => PARTIAL.test(each))) {
      const stats = await this.#attempt(() => this.#disk.stat(this.#path(name)).catch(unlessMissing));
      if (!stats || stats.mtimeMs > before) continue;
      await this.remove(name);
      swept.push(name);
    }
    return swept;
  }

  async proveLock(): Promise<'none'> {
    return 'none';
  }

  async #prepare(): Promise<void> {
    await this.#attempt(() => this.#make(this.#folder));
  }

  /**
   * Makes a folder and those above it, each of them durably. Not by `recursive`, which goes round forever where a file system
   * has no such name and takes none either, as an automounter whose disk is away.
   */
  async #make(folder: string): Promise<void> {
    const parent = dirname(folder);
    const make = () => this.#disk.mkdir(folder, { mode: FOLDER_MODE });
    try {
      await make();
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') return await this.#unlessFolder(folder, error);
      if ((await this.#disk.stat(parent).catch(unlessMissing)) === undefined) await this.#make(parent);
      // There is a parent now, made here or by another process, which may be the quicker one here too.
      await make().catch((second: unknown) => {
        if (codeOf(second) === 'ENOENT') throw this.#noPlace(second);
        return this.#unlessFolder(folder, second);
      });
    }
    await this.#flush(parent);
  }

  async #unlessFolder(folder: string, error: unknown): Promise<void> {
    const stats = codeOf(error) === 'EEXIST' ? await this.#disk.stat(folder) : undefined;
    if (!stats?.isDirectory()) throw error;
  }

  #noPlace(cause: unknown): Failure {
    return new Failure('configuration', `The backup folder ${this.#folder} cannot be made there.`, {
      detail: String(cause),
      hint: 'See whether its disk is mounted, or choose another folder.',
      cause,
    });
  }

  /** What the source throws is not the folder's failure, so only its own steps are attempted. */
  async #writeThrough(name: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    const handle = await this.#attempt(() => this.#disk.open(this.#path(name), 'wx', FILE_MODE));
    try {
      for await (const bytes of source) await this.#attempt(() => handle.writeFile(bytes));
      await this.#attempt(() => handle.sync());
    } finally {
      await handle.close();
    }
  }

  /** Makes the names in a folder durable. */
  async #flush(folder: string): Promise<void> {
    await this.#attempt(async () => {
      const handle = await this.#disk.open(folder, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  }

  async #names(): Promise<string[]> {
    const names = await this.#attempt(() => this.#disk.readdir(this.#folder).catch(unlessMissing));
    return (names ?? []).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#asFailure(error);
    }
  }

  #asFailure(error: unknown): unknown {
    const code = codeOf(error);
    if (code === undefined || error instanceof Failure) return error;
    const detail = String(error);
    const place = `The backup folder ${this.#folder}`;
    if (code === 'ENOENT') return new Failure('not_found', `${place} does not hold that file.`, { detail });
    if (meansFull(code)) {
      const hint =
        'Make room, or let `authserver backup prune` remove what the retention policy no longer keeps.';
      return new Failure('unavailable', `${place} is full.`, { detail, hint, cause: error });
    }
    if (NOT_ALLOWED.has(code)) {
      const hint = IN_THE_WAY.has(code)
        ? 'A file lies where a folder has to be: move it away, or choose another folder.'
        : 'Let the user that the server runs as write there, or choose another folder.';
      return new Failure('configuration', `${place} cannot be used: ${code}.`, {
        detail,
        hint,
        cause: error,
      });
    }
    return new Failure('unavailable', `${place} does not answer: ${code}.`, { detail, cause: error });
  }
}

/** mkdir(2) of a name that a file has, and of one below a file. */
const IN_THE_WAY: ReadonlySet<string> = new Set(['EEXIST', 'ENOTDIR']);
const NOT_ALLOWED = new Set([...IN_THE_WAY, 'EACCES', 'EPERM', 'EROFS', 'EISDIR', 'ENAMETOOLONG']);

async function* piecesOf(handle: nodeDisk.FileHandle): AsyncGenerator<Buffer, void> {
  for (;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(PIECE), 0, PIECE, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

function unlessMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/** The code of an error of the operating system. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : undefined;
}
