import { writeHead } from '../../archive/log/head.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { type LogPosition, POSITION, readPosition } from '../../store/change-frame.ts';
import { noteShipped, type SpoolHeader, shippedUpTo } from '../../store/change-spool.ts';
import { type ChainFault, ChainOnShelf } from './chain-on-shelf.ts';
import { standingRevocations } from './revocation-segment.ts';
import type { SegmentMaker } from './segment-maker.ts';
import type { LogShelf, ShelfState, ShipperParts } from './shipping.ts';
import type { SpooledChain, SpoolView } from './spool-view.ts';
import { Tries } from './tries.ts';

/** A segment should hold up neither the event loop nor the memory while it is made; bytes. */
const LARGEST = 4 * 2 ** 20;
/** A shelf that was not served for so many intervals is behind, whatever it had then. */
const MISSED = 10;

/** What was shipped, and what was found to be wrong. */
export interface Shipped {
  /** Where the database stood. */
  readonly position: LogPosition | undefined;
  readonly fault: ChainFault;
}

/** Brings the log to one shelf, and looks after what lies there: both at once, for a look may take long. */
export class ShelfShipper {
  readonly name: string;
  readonly shipping: Tries;
  readonly looking: Tries;
  readonly #shelf: LogShelf['shelf'];
  readonly #parts: ShipperParts;
  readonly #spool: SpoolView;
  readonly #maker: SegmentMaker;
  readonly #chains = new Map<string, ChainOnShelf>();
  /** Chains that go on no more, and that the shelf has to their ends. */
  readonly #complete = new Set<string>();
  /** One shipment follows the other, whoever asks for it. */
  #last: Promise<unknown> = Promise.resolve();
  #waitingSince: number | undefined;
  #servedAt: number;

  constructor({ name, shelf }: LogShelf, parts: ShipperParts, spool: SpoolView, maker: SegmentMaker) {
    this.name = name;
    this.#shelf = shelf;
    this.#parts = parts;
    this.#spool = spool;
    this.#maker = maker;
    this.#servedAt = parts.clock.now();
    this.shipping = new Tries(name, parts, 'the recovery log does not reach a backup target');
    this.looking = new Tries(name, parts, 'nobody can look after the recovery log on a backup target');
  }

  state(): ShelfState {
    const now = this.#parts.clock.now();
    const missed = now - this.#servedAt > MISSED * this.#parts.pace.interval;
    const since = this.#waitingSince ?? (missed ? this.#servedAt : now);
    const problem = this.shipping.problem ?? this.looking.problem;
    return { shelf: this.name, lag: Math.max(0, now - since), problem };
  }

  /**
   * Up to which batch the spool need not keep a chain for this shelf.
   * @param isFull what was only shipped need not wait for being merged
   */
  has(chain: string, isCurrent: boolean, isFull: boolean): number {
    if (!isCurrent && this.#complete.has(chain)) return Number.POSITIVE_INFINITY;
    const on = this.#chains.get(chain);
    return (isFull ? on?.shipped : on?.merged) ?? 0;
  }

  /** Ships whatever was committed. Failures: those of a Shelf, `configuration`; `unavailable` without a spool. */
  ship(signal: AbortSignal): Promise<Shipped> {
    const turn = this.#last.then(() => this.#ship(signal));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #ship(signal: AbortSignal): Promise<Shipped> {
    const { clock, store } = this.#parts;
    this.#heedClock();
    const position = readPosition((await store.settings.get({ name: POSITION }))?.value);
    let fault: ChainFault;
    const spooled = this.#spool.chains();
    for (const one of spooled) {
      const isCurrent = one.chain === position?.chain;
      // A chain is there before the commit that it begins with: the database will tell.
      const isToCome = position !== undefined && one.chain > position.chain;
      if (isToCome || this.#complete.has(one.chain)) continue;
      const on = await this.#find(one.chain, signal);
      const upTo = isCurrent ? position.batch : ((await this.#spool.end(one.chain)) ?? 0);
      if (isCurrent && on.isNew) await this.#shipRevocations(on, one.header, signal);
      await this.#shipChain(on, one, upTo, signal);
      if (!isCurrent && position) this.#complete.add(one.chain);
      else if (isCurrent && on.shipped !== upTo && upTo > 0) fault = mismatch(on.shipped, upTo);
    }
    if (position && !spooled.some(({ chain }) => chain === position.chain)) {
      if (position.batch === 0) throw this.#notSpooled();
      fault = 'the spool is gone';
    }
    this.#waitingSince = undefined;
    this.#servedAt = clock.now();
    return { position, fault };
  }

  /** A time that has not come yet, by a clock that went back, would make any lag none. */
  #heedClock(): void {
    const now = this.#parts.clock.now();
    this.#servedAt = Math.min(this.#servedAt, now);
    if (this.#waitingSince !== undefined) this.#waitingSince = Math.min(this.#waitingSince, now);
  }

  /** Each commit begins a chain, and nothing is logged. */
  #notSpooled(): Failure {
    this.#waitingSince ??= this.#parts.clock.now();
    return new Failure('unavailable', 'The recovery log cannot be written beside the database.', {
      detail: `nothing is in ${this.#parts.folder}`,
      hint: 'See that the disk is not full, and that the server may write in that folder. It tries again with each commit.',
    });
  }

  /** Looks at what lies there, tidies it up, and says until when it is complete. Failures: those of a Shelf. */
  async look(signal: AbortSignal): Promise<Shipped> {
    const { clock, store, identity } = this.#parts;
    const until = clock.now();
    // Writes are made one after the other: what was begun before is done when this is.
    await store.health.ping({});
    const shipped = await this.ship(signal);
    const { position } = shipped;
    const on = position && this.#chains.get(position.chain);
    const header = this.#spool.chains().find(({ chain }) => chain === position?.chain)?.header;
    if (shipped.fault !== undefined || !on || !header) return shipped;
    await this.#merge(on, signal);
    const fault = await on.inspect(await identity(), signal);
    if (fault !== undefined) return { position, fault };
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
      (await identity()).signer,
    );
    await this.#removeMerged(on, signal);
    return shipped;
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
    const { clock, identity, pace } = this.#parts;
    const start = this.#spool.chains().find(({ chain }) => chain === on.chain)?.start ?? 0;
    for (;;) {
      const after = Math.max(on.merged, start);
      const stretch = await this.#spool.read(on.chain, after, on.shipped, pace.mergeSize);
      if (!stretch) return;
      if (stretch.size < pace.mergeSize && stretch.from > clock.now() - pace.mergeAge) return;
      await on.put(await this.#maker.ofChanges(stretch, true, await identity()), signal);
    }
  }

  async #removeMerged(on: ChainOnShelf, signal: AbortSignal): Promise<void> {
    try {
      await on.removeMerged(signal);
    } catch (error) {
      // Where the server may not delete they stay until somebody prunes who may; a reader takes the larger one.
      this.#parts.log.debug(
        { target: this.name, detail: asFailure(error).message },
        'small log segments stay',
      );
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
