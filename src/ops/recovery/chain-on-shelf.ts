/** One chain of the recovery log on one shelf: what is there, what goes there next, and whether it is as it was put there. */
import {
  type ChainFiles,
  listLog,
  reachOf,
  readSegmentName,
  type SegmentName,
  withinMerged,
} from '../../archive/log/names.ts';
import { readSegment, type SegmentHeader } from '../../archive/log/segment.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { BackupIdentity } from '../backup/identity.ts';
import type { MadeSegment } from './segment-maker.ts';

/** What a look at the chain has found: undefined when all is well, otherwise what is wrong, for people. */
export type ChainFault = string | undefined;

/** Of those that were looked at before, so many are read again at each look. */
const AGAIN = 16;
/** So many are read at one look; what is left is read at the next ones. */
const MOST = 128;
/** So many are read together, or removed. */
const TOGETHER = 4;
const REMOVED_TOGETHER = 16;

export class ChainOnShelf {
  readonly chain: string;
  readonly #shelf: Shelf;
  /** The last frame that the shelf has. */
  shipped = 0;
  /** The last frame that is in a merged segment. */
  merged = 0;
  /** Nothing of the chain was there when it was first looked for. */
  isNew = false;
  readonly #keys = new Set<string>();
  /** What was read whole, in the order in which that was done. */
  readonly #seen = new Map<string, Pick<SegmentHeader, 'first' | 'last' | 'before' | 'after'>>();

  private constructor(chain: string, shelf: Shelf) {
    this.chain = chain;
    this.#shelf = shelf;
  }

  /** Failures: those of a Shelf. */
  static async find(shelf: Shelf, chain: string, signal?: AbortSignal): Promise<ChainOnShelf> {
    const found = new ChainOnShelf(chain, shelf);
    const files = await filesOf(shelf, chain, signal);
    const frames = files.segments.filter(({ last }) => last > 0);
    const merged = frames.filter(({ isMerged }) => isMerged);
    found.isNew = files.segments.length === 0;
    found.shipped = frames.reduce((most, { last }) => Math.max(most, last), 0);
    found.merged = reachOf(merged, frames[0]?.first ?? 1);
    for (const key of files.keys) found.#keys.add(key);
    return found;
  }

  /** Failures: those of a Shelf. */
  async put({ name, bytes, key, header }: MadeSegment, signal?: AbortSignal): Promise<void> {
    if (key && !this.#keys.has(key.name)) {
      await this.#shelf.write(key.name, once(key.bytes), { signal });
      this.#keys.add(key.name);
    }
    await this.#shelf.write(name, once(bytes), { signal });
    this.shipped = Math.max(this.shipped, header.last);
    if (readSegmentName(name)?.isMerged) this.merged = Math.max(this.merged, header.last);
  }

  /**
   * Whether all of it hangs together, and what is new there, and some of the rest, is as it was signed.
   * Failures: those of a Shelf.
   */
  async inspect(identity: BackupIdentity, signal?: AbortSignal): Promise<ChainFault> {
    const fault = await this.#inspectOnce(identity, signal);
    // Somebody who prunes may take away what was just listed: what is wrong is so at a second look.
    return fault === undefined ? undefined : this.#inspectOnce(identity, signal);
  }

  /** Takes away what lies within a merged segment that was read whole, and was read itself. Failures: those of a Shelf. */
  async removeMerged(signal?: AbortSignal): Promise<void> {
    const read = [...this.#seen.keys()].flatMap((name) => readSegmentName(name) ?? []);
    for (const some of chunks(withinMerged(read), REMOVED_TOGETHER)) {
      if (signal?.aborted) return;
      await Promise.all(some.map(({ name }) => this.#shelf.remove(name)));
      for (const { name } of some) this.#seen.delete(name);
    }
  }

  async #inspectOnce(identity: BackupIdentity, signal: AbortSignal | undefined): Promise<ChainFault> {
    // More may come while it is listed.
    const { shipped } = this;
    const { segments } = await filesOf(this.#shelf, this.chain, signal);
    const frames = segments.filter(({ last }) => last > 0);
    const end = reachOf(frames, frames[0]?.first ?? 1);
    if (end < shipped) return `batches from ${end + 1} on are missing`;
    this.#forgetAllBut(segments);
    const oldest = this.#oldest();
    const again = segments.filter(({ name }) => oldest.includes(name));
    // After a start all is new, which may be much.
    const fresh = segments.filter(({ name }) => !this.#seen.has(name)).reverse();
    const first = [...segments.slice(-1), ...again, ...fresh.filter(({ isMerged }) => isMerged)];
    for (const some of chunks([...new Set([...first, ...fresh])].slice(0, MOST), TOGETHER)) {
      const faults = await Promise.all(some.map((segment) => this.#check(segment, identity, signal)));
      const fault = faults.find((found) => found !== undefined);
      if (fault !== undefined) return fault;
    }
    return this.#brokenLink(frames);
  }

  async #check(
    { name }: SegmentName,
    identity: BackupIdentity,
    signal: AbortSignal | undefined,
  ): Promise<ChainFault> {
    try {
      const { header } = await readSegment(this.#shelf, name, { ...identity, ...(signal && { signal }) });
      const { first, last, before, after } = header;
      this.#seen.delete(name);
      this.#seen.set(name, { first, last, before, after });
      return undefined;
    } catch (error) {
      const failure = asFailure(error);
      if (failure.code === 'not_found') return `${name} is gone`;
      if (failure.code === 'refused') return failure.message;
      throw error;
    }
  }

  /** Each begins with the digest that the one before ends with. */
  #brokenLink(frames: readonly SegmentName[]): ChainFault {
    const after = new Map<number, string>();
    for (const seen of this.#seen.values()) after.set(seen.last, seen.after);
    for (const { name } of frames) {
      const seen = this.#seen.get(name);
      const former = seen && after.get(seen.first - 1);
      if (former !== undefined && former !== seen?.before) return `${name} does not follow the one before it`;
    }
    return undefined;
  }

  #oldest(): readonly string[] {
    return [...this.#seen.keys()].slice(0, AGAIN);
  }

  #forgetAllBut(segments: readonly SegmentName[]): void {
    const there = new Set(segments.map(({ name }) => name));
    for (const name of this.#seen.keys()) if (!there.has(name)) this.#seen.delete(name);
  }
}

/** Failures: those of a Shelf, but that nothing is there is none. */
async function filesOf(shelf: Shelf, chain: string, signal: AbortSignal | undefined): Promise<ChainFiles> {
  const nothing: ChainFiles = { chain, segments: [], hasHead: false, keys: [] };
  try {
    const [files = nothing] = await listLog(shelf, { chain, ...(signal && { signal }) });
    return files;
  } catch (error) {
    if (error instanceof Failure && error.code === 'not_found') return nothing;
    throw error;
  }
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
