/**
 * Ships the recovery log of a database from its spool. Each shelf is served on its own, so that one that is away or slow
 * holds up none of the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type LogPosition, NO_POSITION, POSITION, readPosition } from '../../store/change-frame.ts';
import { sweepNotes } from '../../store/change-spool.ts';
import type { ChainFault } from './chain-on-shelf.ts';
import { SegmentMaker } from './segment-maker.ts';
import { ShelfShipper } from './shelf-shipper.ts';
import type { ShelfState, ShipperParts } from './shipping.ts';
import { SpoolView } from './spool-view.ts';

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
    this.#running = Promise.all(this.#shelves.map((shelf) => this.#serve(shelf)));
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

  async #serve(shelf: ShelfShipper): Promise<void> {
    const { signal } = this.#stop;
    const { clock, pace } = this.#parts;
    let lookedAt = Number.NEGATIVE_INFINITY;
    const serveOnce = async () => {
      const position = await this.#position();
      if (position) this.#notice(position);
      await this.#heed(shelf, await shelf.ship(position, signal));
      this.#tidy(position);
      const now = clock.now();
      if (!position || Math.abs(now - lookedAt) < pace.look) return;
      await this.#heed(shelf, await shelf.look(signal));
      lookedAt = now;
    };
    while (!signal.aborted) {
      const pause = await shelf.attempt(serveOnce, signal);
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
    for (const { chain } of this.#spool.chains()) {
      const isCurrent = chain === position?.chain;
      const upTo = Math.min(...this.#shelves.map((shelf) => shelf.has(chain, isCurrent)));
      this.#spool.remove(chain, upTo, !isCurrent && upTo === Number.POSITIVE_INFINITY);
    }
  }

  /** The chain ends where it is found to be damaged: the database is told, and its next commit begins another. */
  async #heed(shelf: ShelfShipper, fault: ChainFault): Promise<void> {
    if (fault === undefined) return;
    const { store, clock, log, events } = this.#parts;
    log.error({ target: shelf.name, fault }, 'the recovery log on a backup target is damaged');
    events.chainBroke(shelf.name);
    const setting = { name: POSITION, value: NO_POSITION, updated_at: clock.now() };
    await store.settings.put({ setting, if_absent: false });
  }
}
