/** The spool as whoever ships it sees it: chains, and stretches of frames in them. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Frame } from '../../store/change-frame.ts';
import {
  framesFrom,
  listSpool,
  readSpoolHeader,
  removeSpool,
  type SpoolFile,
  type SpoolHeader,
  type SpoolMark,
} from '../../store/change-spool.ts';

/** Frames that follow each other, as bytes. */
export interface Stretch {
  readonly header: SpoolHeader;
  readonly first: number;
  readonly last: number;
  readonly from: number;
  readonly to: number;
  readonly before: string;
  readonly after: string;
  readonly pieces: readonly Buffer[];
  readonly size: number;
}

export interface SpooledChain {
  readonly chain: string;
  /** Before the first frame that the spool still has. */
  readonly start: number;
  readonly header: SpoolHeader;
}

interface Place {
  readonly file: string;
  readonly mark: SpoolMark;
}

/** How many places are remembered where a reader may go on. */
const PLACES = 16;
/** The event loop gets a turn after so many bytes. */
const BETWEEN_TURNS = 2 ** 20;

export class SpoolView {
  readonly folder: string;
  /** By chain and batch: where the frame after it begins. */
  readonly #places = new Map<string, Place>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /** By age. */
  chains(): readonly SpooledChain[] {
    const found = new Map<string, SpooledChain>();
    for (const { chain, path } of listSpool(this.folder)) {
      const header = found.has(chain) ? undefined : readSpoolHeader(path)?.header;
      if (header) found.set(chain, { chain, start: header.first - 1, header });
    }
    return [...found.values()];
  }

  /** Bytes of all chains. */
  size(): number {
    return listSpool(this.folder).reduce((sum, { size }) => sum + size, 0);
  }

  /** The last frame of a chain; undefined when nothing is there of it. */
  async end(chain: string): Promise<number | undefined> {
    const file = this.#files(chain).at(-1);
    const opened = file && readSpoolHeader(file.path);
    if (!file || !opened) return undefined;
    let end = opened.start.batch;
    for await (const { frame } of paced(file.path, opened.start)) end = frame.batch;
    return end;
  }

  /** The last of the frames that follow after `after`; undefined when the next one is not there. */
  async tail(
    chain: string,
    after: number,
  ): Promise<{ readonly last: number; readonly to: number } | undefined> {
    let found: { last: number; to: number } | undefined;
    for await (const { frame } of this.#framesAfter(chain, after)) {
      if (frame.batch !== (found?.last ?? after) + 1) break;
      found = { last: frame.batch, to: frame.at };
    }
    return found;
  }

  /**
   * The frames after `after` up to `upTo`, but not many more bytes than `most`; undefined when the next one is not there.
   */
  async read(chain: string, after: number, upTo: number, most: number): Promise<Stretch | undefined> {
    const collected = new Collected();
    let end: Place | undefined;
    for await (const { frame, next, file, header } of this.#framesAfter(chain, after)) {
      // A file that was taken away meanwhile leaves a gap.
      if (frame.batch > upTo || frame.batch !== (collected.last ?? frame.batch - 1) + 1) break;
      collected.add(frame, header);
      end = { file, mark: next };
      if (collected.size >= most) break;
    }
    if (end) this.#remember(chain, end);
    return collected.stretch();
  }

  /** Takes away files of which every frame is at most `upTo`; the newest of the chain stays unless `all` is said. */
  remove(chain: string, upTo: number, all: boolean): void {
    const files = this.#files(chain);
    for (const [index, file] of files.entries()) {
      const next = files[index + 1];
      if (next ? next.first - 1 <= upTo : all) removeSpool(file);
    }
  }

  async *#framesAfter(chain: string, after: number) {
    const place = this.#places.get(placeKey(chain, after));
    const files = this.#files(chain);
    const at = files.findLastIndex(({ first }) => first <= after + 1);
    if (at === -1) return;
    for (const [index, { path: file }] of files.slice(at).entries()) {
      const opened = readSpoolHeader(file);
      if (!opened) return;
      const mark = index === 0 && place?.file === file ? place.mark : opened.start;
      let before = mark.digest;
      for await (const { frame, next } of paced(file, mark)) {
        if (frame.batch > after) yield { frame: { ...frame, before }, next, file, header: opened.header };
        before = next.digest;
      }
    }
  }

  #remember(chain: string, place: Place): void {
    this.#places.set(placeKey(chain, place.mark.batch), place);
    for (const key of this.#places.keys()) {
      if (this.#places.size <= PLACES) return;
      this.#places.delete(key);
    }
  }

  #files(chain: string): readonly SpoolFile[] {
    return listSpool(this.folder).filter((file) => file.chain === chain);
  }
}

class Collected {
  readonly #pieces: Buffer[] = [];
  #header: SpoolHeader | undefined;
  #first: (Frame & { readonly before: Buffer }) | undefined;
  #last: (Frame & { readonly digest: Buffer }) | undefined;
  size = 0;

  add(frame: Frame & { before: Buffer; digest: Buffer; bytes: Buffer }, header: SpoolHeader): void {
    this.#header = header;
    this.#first ??= frame;
    this.#last = frame;
    this.#pieces.push(frame.bytes);
    this.size += frame.bytes.length;
  }

  get last(): number | undefined {
    return this.#last?.batch;
  }

  stretch(): Stretch | undefined {
    if (!this.#header || !this.#first || !this.#last) return undefined;
    return {
      header: this.#header,
      first: this.#first.batch,
      last: this.#last.batch,
      from: this.#first.at,
      to: this.#last.at,
      before: this.#first.before.toString('hex'),
      after: this.#last.digest.toString('hex'),
      pieces: this.#pieces,
      size: this.size,
    };
  }
}

async function* paced(file: string, mark: SpoolMark) {
  let since = 0;
  for (const found of framesFrom(file, mark)) {
    yield found;
    since += found.frame.bytes.length;
    if (since < BETWEEN_TURNS) continue;
    since = 0;
    await turn();
  }
}

function placeKey(chain: string, batch: number): string {
  return `${chain}:${batch}`;
}
