// Owns the disks of the fault tests: one that stops at a step and then forgets what was not flushed (a kill, a pulled plug), and
// one that fails at a step (full, broken). Code with a seam for its file system gets one handed in; for code without one it is put
// under the whole process, for the paths of one folder.

import nodeFs from 'node:fs';
import nodeDisk, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

/** Nothing that the process does after it has any effect. */
export class PowerCut extends Error {}

/** What a cut takes along: nothing (the process was killed), the data that was not flushed, or also the names. */
export type Loss = 'nothing' | 'data' | 'names';
export const LOSSES: readonly Loss[] = ['nothing', 'data', 'names'];

/**
 * What happens at the fatal step. `dies`: it no longer happens, and nothing after it. `full`: from then on nothing finds room
 * that needs some. `broken`: that step fails, once.
 */
export type Fate = 'dies' | 'full' | 'broken';

/** Something that was done to a name, until the folders that it was done in are flushed. */
interface NameChange {
  readonly folders: Set<string>;
  undo(): void;
}

type Verb = (...given: never[]) => unknown;
type Step = 'takes room' | 'frees room' | 'looks';

// What is put under the process must not meet itself.
const real = { ...nodeFs };
const realOpen = nodeDisk.open;

export class ForgetfulDisk {
  steps = 0;
  readonly #fatal: number;
  readonly #trash: string;
  readonly #syncs: boolean;
  readonly #fate: Fate;
  /** How much of a file is on the disk, bytes. */
  readonly #unflushed = new Map<string, number>();
  readonly #files = new Map<number, string>();
  #changes: NameChange[] = [];
  #kept = 0;

  /**
   * @param fatal the number of the step at which it happens
   * @param trash a folder on the same disk, for what was replaced or removed and may come back
   */
  constructor(fatal: number, trash: string, { syncs = true, fate = 'dies' as Fate } = {}) {
    this.#fatal = fatal;
    this.#trash = real.mkdtempSync(path.join(trash, 'disk-'));
    this.#syncs = syncs;
    this.#fate = fate;
  }

  /** Whether it came to the fatal step. */
  get isHit(): boolean {
    return this.steps > this.#fatal;
  }

  /** For whoever has its file system handed in. */
  get disk(): typeof nodeDisk {
    return { ...nodeDisk, ...this.#promised() } as unknown as typeof nodeDisk;
  }

  /** Lies under everything that this thread does within a folder, until it is disposed of. */
  install(folder: string): Disposable {
    const within = (place: unknown) =>
      typeof place === 'number'
        ? this.#files.has(place)
        : typeof place === 'string' && `${path.resolve(place)}/`.startsWith(`${folder}/`);
    const undo = [replace(nodeFs, this.#synchronous(), within), replace(nodeDisk, this.#promised(), within)];
    syncBuiltinESMExports();
    return {
      [Symbol.dispose]() {
        for (const each of undo) each();
        syncBuiltinESMExports();
      },
    };
  }

  /** What the disk is like when the machine comes back. */
  cut(loss: Loss): void {
    if (loss === 'nothing') return;
    if (loss === 'names') for (const change of this.#changes.toReversed()) change.undo();
    // A write that was torn: one byte of it is there.
    for (const [file, durable] of this.#unflushed)
      if (real.existsSync(file)) real.truncateSync(file, Math.min(durable + 1, real.statSync(file).size));
  }

  #promised(): Record<string, Verb> {
    const verbs = this.#synchronous();
    const promised =
      (name: string) =>
      async (...given: never[]) =>
        verbs[`${name}Sync`]?.(...given);
    const names = ['mkdir', 'rename', 'rm', 'unlink', 'chmod', 'writeFile', 'appendFile', 'link'];
    return {
      ...Object.fromEntries(names.map((name) => [name, promised(name)])),
      open: async (file: string, flags?: string, mode?: number) => {
        const step = this.#beforeOpen(file, flags);
        const handle = await realOpen(file, flags, mode);
        step();
        return this.#watch(file, handle);
      },
      readFile: this.#looking(nodeDisk.readFile),
      readdir: this.#looking(nodeDisk.readdir),
      stat: this.#looking(nodeDisk.stat),
    };
  }

  #synchronous(): Record<string, Verb> {
    return {
      openSync: (file: string, flags?: string, mode?: number) => {
        const step = this.#beforeOpen(file, flags);
        const handle = real.openSync(file, flags ?? 'r', mode);
        step();
        this.#files.set(handle, file);
        return handle;
      },
      closeSync: (handle: number) => {
        this.#files.delete(handle);
        real.closeSync(handle);
      },
      fsyncSync: (handle: number) => {
        this.#begin('takes room', 'fsync');
        this.#flushed(this.#files.get(handle) ?? '');
        real.fsyncSync(handle);
      },
      writeFileSync: (to: string | number, data: string | Uint8Array, options?: object) =>
        this.#writeAll(to, data, options),
      appendFileSync: (to: string, data: string | Uint8Array, options?: object) =>
        this.#writeAll(to, data, { ...options, flag: 'a' }),
      mkdirSync: (folder: string, options: { recursive: true }) => {
        this.#begin('takes room', 'mkdir');
        return real.mkdirSync(folder, options);
      },
      renameSync: (from: string, to: string) => this.#rename(from, to),
      linkSync: (from: string, to: string) => {
        this.#begin('takes room', 'link');
        real.linkSync(from, to);
        this.#note([to], () => real.rmSync(to, { force: true }));
      },
      rmSync: (place: string, options?: object) => this.#remove(place, () => real.rmSync(place, options)),
      unlinkSync: (place: string) => this.#remove(place, () => real.unlinkSync(place)),
      chmodSync: (place: string, mode: number) => {
        this.#begin('frees room', 'chmod');
        real.chmodSync(place, mode);
      },
    };
  }

  /** The dead do not read either. */
  #looking(verb: unknown): Verb {
    return async (...given: never[]) => {
      this.#begin('looks', 'read');
      return (verb as (...given: never[]) => unknown)(...given);
    };
  }

  #beforeOpen(file: string, flags = 'r'): () => void {
    const writes = flags !== 'r';
    const isNew = writes && !real.existsSync(file);
    this.#begin(isNew ? 'takes room' : writes ? 'frees room' : 'looks', 'open');
    const durable = flags === 'a' && !isNew ? real.statSync(file).size : 0;
    return () => {
      if (isNew) this.#note([file], () => real.rmSync(file, { force: true }));
      if (writes && !isNew && flags !== 'a') this.#unflushed.set(file, durable);
    };
  }

  #writeAll(to: string | number, data: string | Uint8Array, options: object = {}): void {
    const file = typeof to === 'number' ? (this.#files.get(to) ?? '') : to;
    const { flag = 'w' } = options as { flag?: string };
    const before = typeof to === 'number' || flag === 'a' ? sizeOf(file) : 0;
    const isNew = !real.existsSync(file);
    this.#begin('takes room', 'write', () => real.writeFileSync(to, half(data), options));
    this.#written(file, before);
    real.writeFileSync(to, data, options);
    if (isNew) this.#note([file], () => real.rmSync(file, { force: true }));
  }

  #rename(from: string, to: string): void {
    this.#begin('takes room', 'rename');
    const before = real.existsSync(to) ? this.#keep(to) : undefined;
    real.renameSync(from, to);
    this.#unflushed.delete(to);
    for (const [file, durable] of [...this.#unflushed]) {
      if (file !== from && !file.startsWith(`${from}/`)) continue;
      this.#unflushed.delete(file);
      this.#unflushed.set(to + file.slice(from.length), durable);
    }
    this.#note([from, to], () => {
      if (real.existsSync(to)) real.renameSync(to, from);
      if (before !== undefined) real.renameSync(before, to);
    });
  }

  #remove(place: string, work: () => void): void {
    this.#begin('frees room', 'unlink');
    const before = real.existsSync(place) ? this.#keep(place) : undefined;
    work();
    if (before === undefined) return;
    this.#note([place], () => real.renameSync(before, place));
  }

  #keep(place: string): string {
    const kept = path.join(this.#trash, String(this.#kept++));
    real.cpSync(place, kept, { recursive: true });
    return kept;
  }

  #note(places: readonly string[], undo: () => void): void {
    this.#changes.push({ folders: new Set(places.map((place) => path.dirname(place))), undo });
  }

  #written(file: string, before: number): void {
    if (!this.#unflushed.has(file)) this.#unflushed.set(file, before);
  }

  #flushed(place: string): void {
    if (!this.#syncs) return;
    this.#unflushed.delete(place);
    for (const change of this.#changes) change.folders.delete(place);
    this.#changes = this.#changes.filter(({ folders }) => folders.size > 0);
  }

  #watch(file: string, handle: FileHandle): FileHandle {
    const { writeFile, sync, chmod, read, readFile } = handle;
    const verbs: Record<string, Verb> = {
      writeFile: (data: string | Uint8Array) => {
        const before = sizeOf(file);
        const torn = () => real.appendFileSync(file, half(data));
        this.#begin('takes room', 'write', torn);
        this.#written(file, before);
        return writeFile.call(handle, data);
      },
      sync: () => {
        this.#begin('takes room', 'fsync');
        this.#flushed(file);
        return sync.call(handle);
      },
      chmod: (mode: number) => {
        this.#begin('frees room', 'chmod');
        return chmod.call(handle, mode);
      },
      read: (...given: never[]) => {
        this.#begin('looks', 'read');
        return (read as Verb).apply(handle, given);
      },
      readFile: (...given: never[]) => {
        this.#begin('looks', 'read');
        return (readFile as Verb).apply(handle, given);
      },
      // A dead process closes its files all the same, so that is left alone.
    };
    for (const [name, verb] of Object.entries(verbs))
      Object.defineProperty(handle, name, { value: async (...given: never[]) => verb(...given) });
    return handle;
  }

  /** @param torn what a disk that becomes full has written until then */
  #begin(step: Step, syscall: string, torn?: () => void): void {
    if (this.#fate === 'dies' && this.steps >= this.#fatal) {
      this.steps = this.#fatal + 1;
      throw new PowerCut();
    }
    if (step === 'looks') return;
    const at = this.steps++;
    if (this.#fate === 'broken' && at === this.#fatal) throw systemError('EIO', syscall);
    if (this.#fate !== 'full' || at < this.#fatal || step !== 'takes room') return;
    if (at === this.#fatal) torn?.();
    throw systemError('ENOSPC', syscall);
  }
}

function systemError(code: 'EIO' | 'ENOSPC', syscall: string): Error {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall, errno: -5 });
}

function sizeOf(file: string): number {
  return real.existsSync(file) ? real.statSync(file).size : 0;
}

function half(data: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(data as Uint8Array);
  return bytes.subarray(0, Math.floor(bytes.length / 2));
}

/** Puts verbs in the place of others where their first argument is within; gives back how to undo it. */
function replace(
  target: object,
  verbs: Readonly<Record<string, Verb>>,
  within: (place: unknown) => boolean,
): () => void {
  const own = target as Record<string, Verb>;
  const before = Object.keys(verbs).map((name) => [name, own[name]] as const);
  for (const [name, original] of before)
    own[name] = (...given: never[]) => (within(given[0]) ? verbs[name] : original)?.(...given);
  return () => {
    for (const [name, original] of before) if (original) own[name] = original;
  };
}
