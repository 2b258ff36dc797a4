/**
 * What was taken away, on its way to the shelves of backups, where the database has a log of its own for everything else.
 * One server of the deployment does it, and each shelf gets a chain of its own that begins with all there is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { writeHead } from '../../archive/log/head.ts';
import { segmentName } from '../../archive/log/names.ts';
import { toLine } from '../../archive/signature.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { Ids } from '../../kernel/ids.ts';
import { firstDigest, writeFrame } from '../../store/change-frame.ts';
import type { Store } from '../../store/store.ts';
import { underLease } from '../lease.ts';
import { ChainOnShelf } from './chain-on-shelf.ts';
import { revocationsIn, standingRevocations } from './revocation-segment.ts';
import { SegmentMaker } from './segment-maker.ts';
import type { LogShelf, ShelfState, ShipperParts } from './shipping.ts';

export interface FeedParts extends Omit<ShipperParts, 'folder' | 'store'> {
  readonly store: Pick<Store, 'leases' | 'revocations' | 'deployment'>;
  readonly ids: Ids;
}

interface Feeding {
  readonly signal: AbortSignal;
  readonly limit: AbortSignal;
  /** The shelf has all there was a moment ago. */
  readonly reached: () => void;
}

const LEASE = 'recovery-log';
/** How long until another server is asked again whether it still does it, ms. */
const ASK_AGAIN = 30_000;
/** A transaction is over so long after its times were taken, ms. */
const MARGIN = 10_000;
const LONGEST_PAUSE = 30_000;
/** How long a stop waits for the last shipment, ms. */
const FLUSH_PATIENCE = 5000;

export class RevocationFeed {
  readonly #parts: FeedParts;
  readonly #stop = new AbortController();
  /** Aborted when a stop has waited long enough. */
  readonly #late = new AbortController();
  readonly #running: Promise<void>;
  readonly #states = new Map<string, { waitingSince: number | undefined; problem: string | undefined }>();
  #chain: string | undefined;

  /** Begins at once. */
  constructor(parts: FeedParts) {
    this.#parts = parts;
    for (const { name } of parts.shelves)
      this.#states.set(name, { waitingSince: undefined, problem: undefined });
    this.#running = this.#serve();
  }

  /** The newest chain of this server; undefined while another one does it. */
  get chain(): string | undefined {
    return this.#chain;
  }

  states(): readonly ShelfState[] {
    const now = this.#parts.clock.now();
    return [...this.#states].map(([shelf, { waitingSince, problem }]) => {
      return { shelf, lag: Math.max(0, now - (waitingSince ?? now)), problem };
    });
  }

  /** Ships what there is, for as long as that may take. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const late = setTimeout(() => this.#late.abort(), FLUSH_PATIENCE);
    await this.#running;
    clearTimeout(late);
  }

  async #serve(): Promise<void> {
    const { store, clock, ids, log, shelves } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await underLease({ leases: store.leases, clock, ids }, LEASE, async (lost) => {
          const until = AbortSignal.any([signal, lost]);
          const limit = AbortSignal.any([this.#late.signal, lost]);
          await Promise.all(shelves.map((shelf) => this.#feedWithPatience(shelf, until, limit)));
        });
      } catch (error) {
        log.warn({ detail: asFailure(error).message }, 'the log of revocations could not ask for its turn');
      }
      for (const state of this.#states.values()) state.waitingSince = undefined;
      await sleep(ASK_AGAIN, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** A shelf that failed gets a new chain, which begins with what it may have missed. */
  async #feedWithPatience(shelf: LogShelf, signal: AbortSignal, limit: AbortSignal): Promise<void> {
    const { log, pace, clock } = this.#parts;
    const state = this.#states.get(shelf.name) ?? { waitingSince: undefined, problem: undefined };
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        const reached = () => {
          failures = 0;
          state.waitingSince = undefined;
          state.problem = undefined;
        };
        await this.#feed(shelf, { signal, limit, reached });
      } catch (error) {
        if (signal.aborted) return;
        const { message, detail = message, hint } = asFailure(error);
        if (state.problem !== message) {
          log.error(
            { target: shelf.name, detail, hint },
            'the log of revocations does not reach a backup target',
          );
        }
        state.problem = message;
        state.waitingSince ??= clock.now();
      }
      const pause = Math.min(pace.interval * 2 ** Math.min(failures + 1, 10), LONGEST_PAUSE);
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** @param feeding `signal` ends it after what is there by then, `limit` at once */
  async #feed({ name, shelf }: LogShelf, { signal, limit, reached }: Feeding): Promise<void> {
    const { store, clock, ids, random, identity, pace, events } = this.#parts;
    const maker = new SegmentMaker(random);
    const { id: deployment_id, restore_epoch } = await store.deployment.get({});
    const chain = ids.next('log').slice('log_'.length);
    const about = { chain, deployment_id, restore_epoch, schema_version: 0, begun_at: clock.now() };
    const on = await ChainOnShelf.find(shelf, chain, limit);
    let cursor = await this.#lastId();
    await on.put(await standingRevocations(store.revocations, about, maker, await identity()), limit);
    this.#chain = chain;
    let digest = firstDigest(chain);
    let number = 0;
    let headAt = Number.NEGATIVE_INFINITY;
    for (;;) {
      // What is committed before the stop is read after it.
      const isLast = signal.aborted;
      const now = clock.now();
      for await (const rows of revocationsIn(store.revocations, cursor)) {
        number += 1;
        const changes = Buffer.concat(rows.map(toLine));
        const frame = writeFrame({ batch: number, at: now, changes }, digest);
        const [before, after] = [digest.toString('hex'), frame.digest.toString('hex')];
        const range = { first: number, last: number, from: now, to: now, before, after };
        const { begun_at: _, ...own } = about;
        const claim = { kind: 'revocations', ...own, ...range } as const;
        const file = segmentName({ chain, first: number, last: number, isMerged: false });
        const segment = await maker.make(file, claim, [frame.bytes], await identity());
        await on.put(segment, limit);
        events.shipped(name, segment.bytes.length);
        digest = frame.digest;
        cursor = rows.at(-1)?.id ?? cursor;
      }
      if (Math.abs(now - headAt) >= pace.look) {
        const head = { kind: 'revocations', ...about, last: number, until: now - MARGIN } as const;
        await writeHead(shelf, head, (await identity()).signer);
        headAt = now;
      }
      reached();
      if (isLast) return;
      await sleep(pace.interval, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Asked before what stands is shipped, so that nothing falls between the two. */
  async #lastId(): Promise<string> {
    let last = '';
    for await (const rows of revocationsIn(this.#parts.store.revocations)) last = rows.at(-1)?.id ?? last;
    return last;
  }
}
