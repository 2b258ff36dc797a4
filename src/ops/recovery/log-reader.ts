/** The recovery log as it lies on the shelves, read chain by chain: any shelf will do for any part of it. */
import type { Identities } from '../../archive/age.ts';
import { decrypt } from '../../archive/age.ts';
import { type ChainHead, readHead } from '../../archive/log/head.ts';
import { listLog, type SegmentName } from '../../archive/log/names.ts';
import {
  damagedSegment,
  openBody,
  readSegment,
  readSegmentHeader,
  type SegmentHeader,
} from '../../archive/log/segment.ts';
import type { Trust } from '../../archive/signature.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { readFrame, type WrittenFrame } from '../../store/change-frame.ts';
import type { LogShelf } from './shipping.ts';
import { type SpooledChain, SpoolView } from './spool-view.ts';

/** Where the log lies, whose it is, and what opens it. */
export interface LogReading {
  readonly shelves: readonly LogShelf[];
  readonly deploymentId: string;
  readonly identities: Identities;
  readonly trust: Trust;
  /** The folder of a spool whose server was killed: what it holds beyond the shelves counts. */
  readonly spool?: string;
  readonly signal?: AbortSignal;
}

/** A segment, and one of the shelves that has it. */
export interface Located extends SegmentName {
  readonly on: LogShelf;
}

export interface LocatedChain {
  readonly chain: string;
  /** In the order of their first frames; of two that begin alike, the longer one first. */
  readonly segments: readonly Located[];
  /** The spool has some of it, or all. */
  readonly isSpooled: boolean;
}

/** A segment that was read and found to be what it says. */
export interface OpenedSegment {
  /** For people: the shelf and the name. */
  readonly source: string;
  readonly header: SegmentHeader;
  readonly plain: Buffer;
}

/** Frames that follow each other. */
export interface ReadFrames {
  readonly source: string;
  readonly kind: SegmentHeader['kind'];
  readonly frames: readonly WrittenFrame[];
}

/** Where frames that follow each other end. */
export interface ReadEnd {
  readonly last: number;
  /** When that was committed, ms; undefined where none followed. */
  readonly to: number | undefined;
}

/** So many segments are fetched ahead of the one that is used. */
const AHEAD = 8;
const SPOOL_AT_ONCE = 4 * 2 ** 20;

export class LogReader {
  /** What was wrong on the way, for people. Much of it does no harm: another shelf had it. */
  readonly faults: string[] = [];
  readonly #reading: LogReading;
  readonly #fetched = new Map<Located, ReturnType<typeof readSegment>>();
  readonly #keys = new Map<string, Promise<Identities>>();

  constructor(reading: LogReading) {
    this.#reading = reading;
  }

  /** By age, those in the spool included. A shelf that does not answer is a fault. */
  async chains(only?: string): Promise<readonly LocatedChain[]> {
    const found = new Map<string, Located[]>();
    await Promise.all(
      this.#reading.shelves.map(async (on) => {
        for (const { chain, segments } of await this.#list(on, only)) {
          const located = segments.map((segment) => ({ ...segment, on }));
          found.set(chain, [...(found.get(chain) ?? []), ...located]);
        }
      }),
    );
    const spooled = new Set(this.#spooled().map(({ chain }) => chain));
    for (const chain of spooled) {
      if (only === undefined || only === chain) found.set(chain, found.get(chain) ?? []);
    }
    return [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([chain, segments]) => ({
        chain,
        segments: segments.sort((a, b) => a.first - b.first || b.last - a.last),
        isSpooled: spooled.has(chain),
      }));
  }

  /** The head of a chain that says the most; undefined when there is none that can be believed. */
  async head(chain: string): Promise<ChainHead | undefined> {
    let best: ChainHead | undefined;
    for (const { name, shelf } of this.#reading.shelves) {
      const head = await this.#attempt(name, () => readHead(shelf, chain, this.#reading));
      if (head && (!best || head.until > best.until)) best = head;
    }
    return best;
  }

  /** Undefined when it cannot be read. */
  header(segment: Located): Promise<SegmentHeader | undefined> {
    return this.#attempt(segment.on.name, () =>
      readSegmentHeader(segment.on.shelf, segment.name, this.#reading),
    );
  }

  /** Undefined when it cannot be read. */
  open(segment: Located): Promise<OpenedSegment | undefined> {
    return this.#attempt(segment.on.name, async () => {
      const found = await this.#fetchOnce(segment);
      const identities = await this.#identitiesFor(segment.on.shelf, found.header);
      const plain = await openBody(segment.name, found, identities);
      return { source: `${segment.name} on ${segment.on.name}`, header: found.header, plain };
    });
  }

  /**
   * The frames of a chain after a batch, segment by segment, as far as they follow each other. Ends where none that can be
   * read goes on, and says so among the faults when there is more behind that.
   */
  async *frames({ chain, segments }: LocatedChain, after: number): AsyncGenerator<ReadFrames, void> {
    let at = after;
    let digest: Buffer | undefined;
    for (;;) {
      this.#fetchAhead(segments, at);
      const found =
        (await this.#firstThatFollows(goingOn(segments, at), at, digest)) ??
        (await this.#fromSpool(chain, at, digest));
      if (!found) break;
      yield found;
      at = found.frames.at(-1)?.batch ?? at;
      digest = found.frames.at(-1)?.digest;
    }
    this.#noteGap(segments, at);
  }

  /**
   * What is whole of a chain after a batch that `frames` could not go beyond: each segment by itself, whatever is missing
   * before it. For what is true by itself; changes of rows are not.
   */
  async *beyond({ chain, segments }: LocatedChain, after: number): AsyncGenerator<ReadFrames, void> {
    let farthest = after;
    for (const segment of segments) {
      // One that begins no later has it all.
      if (segment.last <= farthest || segment.first === 0) continue;
      const opened = await this.open(segment);
      if (!opened) continue;
      const { source, header, plain } = opened;
      const { frames } = framesOf(header, plain, header.first - 1);
      if (frames.at(-1)?.batch !== segment.last) continue;
      yield { source, kind: header.kind, frames };
      farthest = segment.last;
    }
    const start = this.#spooled().find((one) => one.chain === chain)?.start;
    if (start === undefined) return;
    for (let at = Math.max(after, start); ; ) {
      const found = await this.#fromSpool(chain, at, undefined);
      const last = found?.frames.at(-1)?.batch;
      if (!found || last === undefined) return;
      yield found;
      at = last;
    }
  }

  /**
   * How far `frames` would go: each segment on the way is read, and is as it was signed. It takes no key, for signatures
   * and digests are of what is stored.
   */
  async reach({ chain, segments }: LocatedChain, after: number): Promise<ReadEnd> {
    let end: ReadEnd = { last: after, to: undefined };
    let digest: string | undefined;
    for (;;) {
      this.#fetchAhead(segments, end.last);
      const header = await this.#signedThatFollows(goingOn(segments, end.last), end.last, digest);
      const waiting = header ?? (await this.#spool()?.tail(chain, end.last));
      if (!waiting) break;
      end = { last: waiting.last, to: waiting.to };
      digest = header?.after;
    }
    this.#noteGap(segments, end.last);
    return end;
  }

  /** The batch after which to read, so that all that was committed after a time (ms) is read, and little else. */
  async before({ segments }: LocatedChain, time: number): Promise<number> {
    const frames = segments.filter(({ first }) => first > 0);
    let begun: SegmentHeader | undefined;
    let low = 0;
    let high = frames.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const { header, next } = await this.#headerFrom(frames, middle, high);
      if (header && header.from <= time) {
        begun = header;
        low = next;
      } else high = middle;
    }
    if (!begun) return (frames[0]?.first ?? 1) - 1;
    return begun.to <= time ? begun.last : begun.first - 1;
  }

  /** The first that can be read of those from `at` to before `end`, and what comes after it. */
  async #headerFrom(segments: readonly Located[], at: number, end: number) {
    for (const [index, segment] of segments.slice(at, end).entries()) {
      const header = await this.header(segment);
      if (header) return { header, next: at + index + 1 };
    }
    return { header: undefined, next: end };
  }

  #noteGap(segments: readonly Located[], at: number): void {
    const later = segments.find(({ last }) => last > at);
    if (later) this.faults.push(`batches from ${at + 1} on are missing or cannot be read`);
  }

  async #signedThatFollows(
    candidates: readonly Located[],
    at: number,
    digest: string | undefined,
  ): Promise<SegmentHeader | undefined> {
    for (const candidate of candidates) {
      const found = await this.#attempt(candidate.on.name, () => this.#fetchOnce(candidate));
      if (!found) continue;
      // What begins earlier says nothing of the digest there.
      const { header } = found;
      if (digest === undefined || header.first <= at || header.before === digest) return header;
      this.faults.push(damagedSegment(candidate.name, 'it does not follow the one before it').message);
    }
    return undefined;
  }

  async #firstThatFollows(
    candidates: readonly Located[],
    at: number,
    digest: Buffer | undefined,
  ): Promise<ReadFrames | undefined> {
    for (const candidate of candidates) {
      const opened = await this.open(candidate);
      if (!opened) continue;
      const { header, plain } = opened;
      const { frames, former } = framesOf(header, plain, at);
      const follows = !digest || digest.equals(former);
      if (frames.length > 0 && frames.at(-1)?.batch === candidate.last && follows) {
        return { source: opened.source, kind: header.kind, frames };
      }
      this.faults.push(damagedSegment(opened.source, 'its frames do not follow those before').message);
    }
    return undefined;
  }

  /** What was not shipped yet. Its last frame may be of a batch that was never committed, nor answered. */
  async #fromSpool(chain: string, at: number, digest: Buffer | undefined): Promise<ReadFrames | undefined> {
    const spool = this.#spool();
    const stretch = await spool?.read(chain, at, Number.POSITIVE_INFINITY, SPOOL_AT_ONCE);
    if (!spool || !stretch) return undefined;
    const { frames, former } = framesOf(stretch, Buffer.concat(stretch.pieces), at);
    if (digest && !digest.equals(former)) return undefined;
    return { source: `the spool ${spool.folder}`, kind: 'changes', frames };
  }

  #spool(): SpoolView | undefined {
    const { spool } = this.#reading;
    return spool === undefined ? undefined : new SpoolView(spool);
  }

  #spooled(): readonly SpooledChain[] {
    return this.#spool()?.chains() ?? [];
  }

  #fetchAhead(segments: readonly Located[], after: number): void {
    const wanted = new Set<Located>();
    for (let at = after; wanted.size < AHEAD; ) {
      const [next] = goingOn(segments, at);
      if (!next) break;
      wanted.add(next);
      at = next.last;
    }
    for (const known of this.#fetched.keys()) if (!wanted.has(known)) this.#fetched.delete(known);
    for (const segment of wanted) {
      if (this.#fetched.has(segment)) continue;
      const fetched = this.#fetch(segment);
      // Whoever comes for it hears of it.
      fetched.catch(() => undefined);
      this.#fetched.set(segment, fetched);
    }
  }

  #fetchOnce(segment: Located): ReturnType<typeof readSegment> {
    return this.#fetched.get(segment) ?? this.#fetch(segment);
  }

  #fetch({ on, name }: Located): ReturnType<typeof readSegment> {
    return readSegment(on.shelf, name, this.#reading);
  }

  async #identitiesFor(shelf: Shelf, { key }: SegmentHeader): Promise<Identities> {
    const { identities } = this.#reading;
    if (key === null) return identities;
    const known = this.#keys.get(key) ?? openKey(shelf, key, identities);
    this.#keys.set(key, known);
    // Another shelf may have it.
    known.catch(() => this.#keys.delete(key));
    return known;
  }

  async #list(on: LogShelf, chain: string | undefined) {
    const { signal } = this.#reading;
    const options = { ...(chain !== undefined && { chain }), ...(signal && { signal }) };
    return (await this.#attempt(on.name, () => listLog(on.shelf, options))) ?? [];
  }

  /** What cannot be had from one shelf is a fault, but that it was stopped. */
  async #attempt<T>(shelf: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Failure && error.code === 'not_found') return undefined;
      const failure = asFailure(error);
      if (failure.code === 'interrupted' || failure.code === 'internal') throw failure;
      this.faults.push(`${shelf}: ${failure.message}`);
      return undefined;
    }
  }
}

/** Those that hold the frame after `at`, the farthest reaching first. */
function goingOn(segments: readonly Located[], at: number): readonly Located[] {
  return segments
    .filter(({ first, last }) => last > at && first > 0 && first <= at + 1)
    .sort((a, b) => b.last - a.last || b.first - a.first);
}

/** The frames after `at`, and the digest before them. */
function framesOf(
  header: Pick<SegmentHeader, 'first' | 'before' | 'after'>,
  plain: Buffer,
  at: number,
): { readonly frames: readonly WrittenFrame[]; readonly former: Buffer } {
  const frames: WrittenFrame[] = [];
  let digest: Buffer = Buffer.from(header.before, 'hex');
  let former = digest;
  let batch = header.first - 1;
  for (let offset = 0; offset < plain.length; ) {
    const frame = readFrame(plain, offset, digest);
    if (frame?.batch !== batch + 1) return { frames: [], former };
    offset += frame.bytes.length;
    batch = frame.batch;
    digest = frame.digest;
    if (batch <= at) former = digest;
    else frames.push(frame);
  }
  return digest.toString('hex') === header.after ? { frames, former } : { frames: [], former };
}

async function openKey(shelf: Shelf, name: string, identities: Identities): Promise<Identities> {
  const pieces: Buffer[] = [];
  for await (const piece of decrypt(shelf.read(name), identities)) pieces.push(piece);
  return { identities: [Buffer.concat(pieces).toString().trim()] };
}
