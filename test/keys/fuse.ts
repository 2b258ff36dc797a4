// Owns the moment at which a process dies: a fuse that blows at one write, whichever of them it is, and from then on nothing
// that the process does has any effect.

import * as nodeDisk from 'node:fs/promises';
import type { Disk } from '../../src/keys/stores/keyfile.ts';

export class Killed extends Error {}

/** Counts writes; the `fatal`th one is the last, and `lands` says whether it still has its effect. */
export class Fuse {
  readonly writes: string[] = [];
  readonly #fatal: number;
  readonly #lands: boolean;

  constructor(fatal: number, lands: boolean) {
    this.#fatal = fatal;
    this.#lands = lands;
  }

  get isBlown(): boolean {
    return this.writes.length > this.#fatal;
  }

  /** A write, which may be the last. */
  async write<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.check();
    this.writes.push(name);
    if (!this.isBlown) return work();
    if (this.#lands) await work();
    throw new Killed(name);
  }

  /** Anything that is no write: the dead do not read either. */
  check(): void {
    if (this.isBlown) throw new Killed('dead already');
  }
}

const DISK_WRITES = ['mkdir', 'rename', 'unlink', 'chmod'] as const;
const HANDLE_WRITES = ['chmod', 'writeFile', 'sync'] as const;

/** A disk whose every write may be the last. */
export function fusedDisk(fuse: Fuse): Disk {
  const fused = (name: string, target: object, method: string) => {
    const original = (target as Record<string, (...given: unknown[]) => Promise<unknown>>)[method]!;
    return (...given: unknown[]) => fuse.write(name, () => original.apply(target, given));
  };
  const disk: Record<string, unknown> = { ...nodeDisk };
  for (const name of DISK_WRITES) disk[name] = fused(name, nodeDisk, name);
  disk['open'] = async (path: string, flags: string, mode?: number) => {
    fuse.check();
    const handle = await nodeDisk.open(path, flags, mode);
    for (const name of HANDLE_WRITES)
      Object.defineProperty(handle, name, { value: fused(`file ${name}`, handle, name) });
    return handle;
  };
  return disk as unknown as Disk;
}

/** A part of the store whose verbs of these names may be the last; `list` and the like only work while the process lives. */
export function fusedVerbs<Verbs extends object>(fuse: Fuse, verbs: Verbs, writes: readonly string[]): Verbs {
  return new Proxy(verbs, {
    get(target, name) {
      const verb = Reflect.get(target, name) as unknown;
      if (typeof verb !== 'function') return verb;
      return async (input: unknown) => {
        if (writes.includes(String(name))) return fuse.write(String(name), () => verb.call(target, input));
        fuse.check();
        return verb.call(target, input);
      };
    },
  });
}
