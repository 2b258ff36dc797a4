import { writeHead } from '../../archive/log/head.ts';
import { asFailure } from '../../kernel/errors.ts';
import { type LogPosition, POSITION, readPosition } from '../../store/change-frame.ts';
import { noteShipped, type SpoolHeader, shippedUpTo } from '../../store/change-spool.ts';
import { type ChainFault, ChainOnShelf } from './chain-on-shelf.ts';
import { standingRevocations } from './revocation-segment.ts';
import type { SegmentMaker } from './segment-maker.ts';
import type { LogShelf, ShelfState, ShipperParts } from './shipping.ts';
import type { SpooledChain, SpoolView } from './spool-view.ts';

/** A segment should hold up neither the event loop nor the memory while it is made; bytes. */
const LARGEST = 4 * 2 ** 20;
/** How long a shelf that fails is left alone at most, ms. */
const LONGEST_PAUSE = 30_000;
/** A shelf that was not served for so many intervals is behind, whatever it had then. */
const MISSED = 10;

/** Brings the log to one shelf, and looks after what lies there. Not to be asked twice at once. */
export class ShelfShipper {
  readonly name: string;
  readonly #shelf: LogShelf['shelf'];
  readonly #parts: ShipperParts;
  readonly #spool: SpoolView;
  readonly #maker: SegmentMaker;
  readonly #chains = new Map<string, ChainOnShelf>();
  /** Chains that go on no more, and that the shelf has to their ends. */
  readonly #complete = new Set<string>();
  #waitingSince: number | undefined;
  #servedAt: number;
  #failures = 0;
  #problem: string | undefined;

  constructor({ name, shelf }: LogShelf, parts: ShipperParts, spool: SpoolView, maker: SegmentMaker) {
    this.name = name;
    this.#shelf = shelf;
    this.#parts = parts;
    this.#spool = spool;
    this.#maker = maker;
    this.#servedAt = parts.clock.now();
  }

  state(): ShelfState {
    const now = this.#parts.clock.now();
    const missed = now - this.#servedAt > MISSED * this.#parts.pace.interval;
    const since = this.#waitingSince ?? (missed ? this.#servedAt : now);
    return { shelf: this.name, lag: Math.max(0, now - since), problem: this.#problem };
  }

  /** Up to which batch the spool need not keep a chain for this shelf. */
  has(chain: string, isCurrent: boolean): number {
    if (!isCurrent && this.#complete.has(chain)) return Number.POSITIVE_INFINITY;
    return this.#chains.get(chain)?.merged ?? 0;
  }

  /** Ships whatever was committed; the position is that of the database. Failures: those of a Shelf, `configuration`. */
  async ship(position: LogPosition | undefined, signal: AbortSignal): Promise<ChainFault> {
    let fault: ChainFault;
    const spooled = this.#spool.chains();
    for (const one of spooled) {
      const isCurrent = one.chain === position?.chain;
      if (this.#complete.has(one.chain)) continue;
      const upTo = isCurrent ? position.batch : ((await this.#spool.end(one.chain)) ?? 0);
      const on = await this.#find(one.chain, signal);
      if (isCurrent && on.isNew) await this.#shipRevocations(on, one.header, signal);
      await this.#shipChain(on, one, upTo, signal);
      if (!isCurrent) this.#complete.add(one.chain);
      else if (on.shipped !== upTo && upTo > 0) fault = mismatch(on.shipped, upTo);
    }
    if (position && position.batch > 0 && !spooled.some(({ chain }) => chain === position.chain)) {
      fault = 'the spool is gone';
    }
    this.#waitingSince = undefined;
    this.#servedAt = this.#parts.clock.now();
    return fault;
  }

  /** Looks at what lies there, tidies it up, and says until when it is complete. Failures: those of a Shelf. */
  async look(signal: AbortSignal): Promise<ChainFault> {
    const { clock, store } = this.#parts;
    const until = clock.now();
    // Writes are made one after the other: what was begun before is done when this is.
    await store.health.ping({});
    const position = readPosition((await store.settings.get({ name: POSITION }))?.value);
    const fault = await this.ship(position, signal);
    const on = position && this.#chains.get(position.chain);
    const header = this.#spool.chains().find(({ chain }) => chain === position?.chain)?.header;
    if (fault !== undefined || !on || !header) return fault;
    const found = await on.inspect(await this.#parts.identity(), signal);
    if (found !== undefined) return found;
    await this.#merge(on, signal);
    const { chain, deployment_id, restore_epoch, schema_version, begun_at } = header;
    await writeHead(
      this.#shelf,
      {
        kind: 'changes',
        chain,
        deployment_id,
        restore_epoch,
        schema_version,
        begun_at,
        last: position.batch,
        until,
      },
      (await this.#parts.identity()).signer,
    );
    return undefined;
  }

  /** Does it, and answers how long to leave the shelf alone, ms: trouble is told once, and then it is tried ever less often. */
  async attempt(work: () => Promise<void>, signal: AbortSignal): Promise<number> {
    const { log, pace } = this.#parts;
    try {
      await work();
      if (this.#failures > 0) log.info({ target: this.name }, 'the recovery log reaches the target again');
      this.#failures = 0;
      this.#problem = undefined;
      return pace.interval;
    } catch (error) {
      if (signal.aborted) return 0;
      const { message, detail = message, hint } = asFailure(error);
      if (this.#problem !== message) {
        log.error({ target: this.name, detail, hint }, 'the recovery log does not reach a backup target');
      }
      this.#problem = message;
      this.#failures += 1;
      return Math.min(pace.interval * 2 ** Math.min(this.#failures, 10), LONGEST_PAUSE);
    }
  }

  async #shipChain(
    on: ChainOnShelf,
    { chain, start }: SpooledChain,
    upTo: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { folder, identity, events } = this.#parts;
    for (;;) {
      const stretch = await this.#spool.read(chain, Math.max(on.shipped, start), upTo, LARGEST);
      if (!stretch) return;
      this.#waitingSince = stretch.from;
      if (shippedUpTo(folder, chain) < stretch.last) noteShipped(folder, chain, stretch.last);
      const segment = await this.#maker.ofChanges(stretch, false, await identity());
      await on.put(segment, signal);
      events.shipped(this.name, segment.bytes.length);
    }
  }

  /** What was taken away before the chain began: so the newest chain tells all of it. */
  async #shipRevocations(on: ChainOnShelf, header: SpoolHeader, signal: AbortSignal): Promise<void> {
    const { store, identity } = this.#parts;
    await on.put(await standingRevocations(store.revocations, header, this.#maker, await identity()), signal);
    on.isNew = false;
  }

  /** Puts small segments together once they are old, or many. */
  async #merge(on: ChainOnShelf, signal: AbortSignal): Promise<void> {
    const { clock, identity, log, pace } = this.#parts;
    const start = this.#spool.chains().find(({ chain }) => chain === on.chain)?.start ?? 0;
    for (;;) {
      const after = Math.max(on.merged, start);
      const stretch = await this.#spool.read(on.chain, after, on.shipped, pace.mergeSize);
      if (!stretch) return;
      if (stretch.size < pace.mergeSize && stretch.from > clock.now() - pace.mergeAge) return;
      await on.put(await this.#maker.ofChanges(stretch, true, await identity()), signal);
      try {
        await on.removeWithin(stretch.first, stretch.last, signal);
      } catch (error) {
        // Where the server may not delete they stay; a reader takes the larger one.
        log.debug({ target: this.name, detail: asFailure(error).message }, 'small log segments stay');
      }
    }
  }

  async #find(chain: string, signal: AbortSignal): Promise<ChainOnShelf> {
    const known = this.#chains.get(chain);
    if (known) return known;
    const found = await ChainOnShelf.find(this.#shelf, chain, signal);
    this.#chains.set(chain, found);
    return found;
  }
}

function mismatch(shipped: number, upTo: number): string {
  return shipped > upTo
    ? `it goes to batch ${shipped}, the database only to ${upTo}`
    : `batches ${shipped + 1} to ${upTo} are not in the spool`;
}
