/**
 * Ships the recovery log of a database from its spool. Each shelf is served on its own, so that one that is away or slow
 * holds up none of the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type LogPosition, NO_POSITION, POSITION, readPosition } from '../../store/change-frame.ts';
import { sweepNotes } from '../../store/change-spool.ts';
import { SegmentMaker } from './segment-maker.ts';
import { ShelfShipper, type Shipped } from './shelf-shipper.ts';
import type { ShelfState, ShipperParts } from './shipping.ts';
import { SpoolView } from './spool-view.ts';

/** What was shipped stays in the spool until it is merged, but not more of it than so many bytes. */
const KEPT = 64 * 2 ** 20;
/** How long a stop waits for the last shipment, ms. */
const FLUSH_PATIENCE = 5000;

export class LogShipper {
  readonly #parts: ShipperParts;
  readonly #spool: SpoolView;
  readonly #shelves: readonly ShelfShipper[];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  #chain: string | undefined;

  /** Begins at once. */
  constructor(parts: ShipperParts) {
    this.#parts = parts;
    this.#spool = new SpoolView(parts.folder);
    const maker = new SegmentMaker(parts.random);
    this.#shelves = parts.shelves.map((one) => new ShelfShipper(one, parts, this.#spool, maker));
    sweepNotes(parts.folder);
    const served = this.#shelves.flatMap((shelf) => [this.#keepShipping(shelf), this.#keepLooking(shelf)]);
    this.#running = Promise.all(served);
  }

  /** The chain that is written now, once it is known. */
  get chain(): string | undefined {
    return this.#chain;
  }

  states(): readonly ShelfState[] {
    return this.#shelves.map((shelf) => shelf.state());
  }

  /** Ships what there is, for as long as that may take. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const signal = AbortSignal.timeout(FLUSH_PATIENCE);
    const flush = Promise.allSettled(this.#shelves.map((shelf) => shelf.look(signal)));
    const late = new AbortController();
    await Promise.race([flush, sleep(FLUSH_PATIENCE, undefined, { signal: late.signal })]);
    late.abort();
  }

  async #keepShipping(shelf: ShelfShipper): Promise<void> {
    const { signal } = this.#stop;
    const ship = async () => {
      const present = await this.#position();
      if (present) this.#notice(present);
      const shipped = await shelf.ship(signal);
      await this.#heed(shelf, shipped);
      this.#tidy(shipped.position);
    };
    while (!signal.aborted) {
      const pause = await shelf.shipping.attempt(ship, this.#parts.pace.interval, signal);
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Beside the other: a bucket takes its time over thousands of files. */
  async #keepLooking(shelf: ShelfShipper): Promise<void> {
    const { signal } = this.#stop;
    const { interval, look } = this.#parts.pace;
    const lookOnce = async () => this.#heed(shelf, await shelf.look(signal));
    while (!signal.aborted) {
      // Before the first commit there is nothing to look at.
      const isBegun = (await this.#position().catch(() => undefined)) !== undefined;
      const pause = isBegun ? await shelf.looking.attempt(lookOnce, look, signal) : interval;
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #position(): Promise<LogPosition | undefined> {
    return readPosition((await this.#parts.store.settings.get({ name: POSITION }))?.value);
  }

  #notice({ chain }: LogPosition): void {
    if (chain === this.#chain) return;
    const header = this.#spool.chains().find((one) => one.chain === chain)?.header;
    if (!header) return;
    this.#chain = chain;
    this.#parts.events.chainSeen({ chain, begunAt: header.begun_at, reason: header.reason });
  }

  /** Takes away from the spool what all shelves have, those included that are away. */
  #tidy(position: LogPosition | undefined): void {
    const isFull = this.#spool.size() > KEPT;
    for (const { chain } of this.#spool.chains()) {
      const isCurrent = chain === position?.chain;
      const upTo = Math.min(...this.#shelves.map((shelf) => shelf.has(chain, isCurrent, isFull)));
      this.#spool.remove(chain, upTo, !isCurrent && upTo === Number.POSITIVE_INFINITY);
    }
  }

  /** The chain ends where it is found to be damaged: the database is told, and its next commit begins another. */
  async #heed(shelf: ShelfShipper, { position, fault }: Shipped): Promise<void> {
    if (fault === undefined) return;
    // What is wrong with a chain that has ended meanwhile is no fault of the one that follows.
    if ((await this.#position())?.chain !== position?.chain) return;
    const { store, clock, log, events } = this.#parts;
    log.error({ target: shelf.name, fault }, 'the recovery log on a backup target is damaged');
    events.chainBroke(shelf.name);
    const setting = { name: POSITION, value: NO_POSITION, updated_at: clock.now() };
    await store.settings.put({ setting, if_absent: false });
  }
}
