/**
 * The key store `keyfile`: a folder (0700) with one file (0600) a key, `<kid>.pem`. A file appears whole or not at all,
 * whatever moment the power goes: it is written under a temporary name, flushed, renamed, and the folder is flushed.
 *
 * Modes that let others in are closed again with a warning rather than refused: an orchestrator that widens the modes of
 * a volume at each start (Kubernetes' fsGroup does) must not keep the server from starting.
 */
import * as nodeDisk from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { PemStore } from './key-store.ts';

/** What is used of the file system. */
export type Disk = Pick<
  typeof nodeDisk,
  'open' | 'mkdir' | 'stat' | 'chmod' | 'rename' | 'unlink' | 'readdir'
>;

export interface KeyfileParts {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Another file system, to see what a crash leaves behind. */
  readonly disk?: Disk;
}

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS = 0o077;

/** A temporary file this old, ms, belongs to a process that died; a younger one may be in use by another. */
const ABANDONED_AFTER = 60_000;

const KEY_ID = /^[A-Za-z0-9_-]{1,128}$/;
const KEY_FILE = /^([A-Za-z0-9_-]{1,128})\.pem$/;
const TEMPORARY_FILE = /^[A-Za-z0-9_-]{1,128}\.pem\.tmp$/;

/** Opens the folder, making it where it is not there. Failures: `configuration` when it cannot be used. */
export async function openKeyfile(parts: KeyfileParts): Promise<PemStore> {
  const store = new Keyfile(parts);
  await store.prepare();
  return store;
}

class Keyfile implements PemStore {
  readonly name = 'keyfile';
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #disk: Disk;

  constructor({ folder, clock, log, disk = nodeDisk }: KeyfileParts) {
    this.#folder = folder;
    this.#clock = clock;
    this.#log = log;
    this.#disk = disk;
  }

  async prepare(): Promise<void> {
    await this.#attempt('use', this.#folder, async () => {
      const made = await this.#disk.mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      if (made !== undefined) await this.#flushFolder(dirname(made));
      const { mode } = await this.#disk.stat(this.#folder);
      if ((mode & OTHERS) !== 0) {
        this.#warnOfMode(this.#folder, mode, FOLDER_MODE);
        await this.#disk.chmod(this.#folder, FOLDER_MODE);
      }
      await this.#sweep();
    });
  }

  locate(kid: string): string {
    // Ids come from the database; one that is a path must not lead out of the folder.
    if (!KEY_ID.test(kid)) throw new Failure('configuration', `"${kid}" cannot be the name of a key file.`);
    return join(this.#folder, `${kid}.pem`);
  }

  remedy(kid: string): string {
    return (
      `Put ${this.locate(kid)} back from a backup of the state directory, readable by this server's user alone ` +
      '(mode 0600), and start again.'
    );
  }

  async save(kid: string, pem: string): Promise<void> {
    const path = this.locate(kid);
    const temporary = `${path}.tmp`;
    await this.#attempt('write', path, async () => {
      await this.#sweep();
      try {
        await this.#writeThrough(temporary, pem);
        await this.#disk.rename(temporary, path);
      } catch (error) {
        await this.#disk.unlink(temporary).catch(() => undefined);
        throw error;
      }
      await this.#flushFolder(this.#folder);
    });
  }

  async load(kid: string): Promise<string | undefined> {
    const path = this.locate(kid);
    return this.#attempt('read', path, async () => {
      const handle = await this.#disk.open(path, 'r').catch(unlessMissing);
      if (handle === undefined) return undefined;
      try {
        const { mode } = await handle.stat();
        if ((mode & OTHERS) !== 0) {
          this.#warnOfMode(path, mode, FILE_MODE);
          await handle.chmod(FILE_MODE);
        }
        return await handle.readFile('utf8');
      } finally {
        await handle.close();
      }
    });
  }

  async list(): Promise<string[]> {
    return this.#attempt('list', this.#folder, async () => {
      const names = await this.#disk.readdir(this.#folder);
      return names.flatMap((name) => KEY_FILE.exec(name)?.[1] ?? []).sort();
    });
  }

  async remove(kid: string): Promise<void> {
    const path = this.locate(kid);
    await this.#attempt('remove', path, async () => {
      await this.#disk.unlink(path).catch(unlessMissing);
      await this.#flushFolder(this.#folder);
    });
  }

  async exposure(kid: string): Promise<string | undefined> {
    for (const path of [this.#folder, this.locate(kid)]) {
      const found = await this.#disk.stat(path).catch(unlessMissing);
      if (found !== undefined && (found.mode & OTHERS) !== 0)
        return `${path} was open to other users of this machine (mode ${octal(found.mode)})`;
    }
    return undefined;
  }

  async #writeThrough(path: string, text: string): Promise<void> {
    const handle = await this.#disk.open(path, 'w', FILE_MODE);
    try {
      await handle.chmod(FILE_MODE); // whatever the umask took away
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Makes the names in a folder durable. */
  async #flushFolder(folder: string): Promise<void> {
    const handle = await this.#disk.open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async #sweep(): Promise<void> {
    for (const name of await this.#disk.readdir(this.#folder)) {
      if (!TEMPORARY_FILE.test(name)) continue;
      const path = join(this.#folder, name);
      const found = await this.#disk.stat(path).catch(unlessMissing);
      if (found === undefined || this.#clock.now() - found.mtimeMs < ABANDONED_AFTER) continue;
      await this.#disk.unlink(path).catch(unlessMissing);
      this.#log.info({ path }, 'removed a half-written key file that a crash left behind');
    }
  }

  #warnOfMode(path: string, mode: number, wanted: number): void {
    this.#log.warn(
      { path, mode: octal(mode), set_to: octal(wanted) },
      'a private key was open to other users of this machine and is closed now; rotate if one of them may have read it',
    );
  }

  /** What the file system refuses becomes a failure that names the path and what to look at. */
  async #attempt<T>(verb: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const code = errorCode(cause);
      const lasting =
        code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EISDIR';
      throw new Failure(lasting ? 'configuration' : 'unavailable', `Cannot ${verb} ${path} (${code}).`, {
        hint: lasting
          ? `Make sure that ${this.#folder} is a folder that belongs to this server's user, with mode 0700 and key files of mode 0600.`
          : `Look at the disk that holds ${this.#folder}: is it full, or failing?`,
        cause,
      });
    }
  }
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function unlessMissing(error: unknown): undefined {
  if (errorCode(error) !== 'ENOENT') throw error;
  return undefined;
}
