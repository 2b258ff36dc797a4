/** What the store promises when the database is cut off, goes away, and comes back: `unavailable`, and nothing lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Failure } from '../../kernel/errors.ts';
import type { FragileStore, Harness } from './harness.ts';
import { issuanceRow, NOW } from './rows.ts';
import { World } from './world.ts';

const WRITERS = 8;
const CUTS = 4;
const LONGEST_RECOVERY = 15_000;
/** Recovery takes as long as it takes on a busy machine; what counts is that it comes. */
const PATIENCE = { timeout: 180_000 };

export function describeFaults(open: Harness['openFragile']): void {
  let fragile: FragileStore;
  beforeAll(async () => {
    fragile = await open();
  });
  afterAll(() => fragile.dispose());

  describe('faults', () => {
    it(
      'loses nothing it acknowledged when its connections are cut under load, and works on',
      PATIENCE,
      async () => {
        const world = new World(fragile.store);
        const client_id = (await world.client()).id;
        const load = new Load(fragile, client_id);
        for (let cut = 0; cut < CUTS; cut++) {
          await load.proceeds();
          await fragile.killConnections();
        }
        await load.proceeds();
        await load.stop();
        for (const failure of load.failures) expect(failure).toMatchObject({ code: 'unavailable' });
        for (const jti of load.acknowledged) {
          expect(await fragile.store.issuances.findLive({ jti, now: NOW })).toBeDefined();
        }
      },
    );

    it('answers `unavailable` while the database is away, and recovers by itself', PATIENCE, async () => {
      const { store } = fragile;
      const world = new World(store);
      const before = await world.granted();
      await fragile.breakDatabase();
      const [write, ping, read] = await Promise.allSettled([
        world.rotate(before),
        store.health.ping({}),
        store.families.find({ id: before.family.id }),
      ]);
      expect(write).toMatchObject({ reason: { code: 'unavailable', retryAfter: 1 } });
      expect(ping).toMatchObject({ reason: { code: 'unavailable' } });
      if (fragile.readsSurvive) expect(read).toMatchObject({ value: before.family });
      else expect(read).toMatchObject({ reason: { code: 'unavailable' } });

      await fragile.healDatabase();
      await untilAnswers(() => store.health.ping({}));
      expect(await store.families.find({ id: before.family.id })).toEqual(before.family);
      expect(await world.rotate(before)).toEqual({ outcome: 'rotated' });
    });
  });
}

/** Writers that go on whatever happens and remember what was acknowledged. */
class Load {
  readonly acknowledged: string[] = [];
  readonly failures: unknown[] = [];
  readonly #writers: Promise<void>[];
  #stopped = false;

  constructor({ store }: FragileStore, client_id: string) {
    this.#writers = Array.from({ length: WRITERS }, async () => {
      while (!this.#stopped) {
        const issuance = issuanceRow({ client_id });
        try {
          await store.issuances.record({ issuance });
          this.acknowledged.push(issuance.jti);
        } catch (error) {
          this.failures.push(error);
          await sleep(5);
        }
      }
    });
  }

  /** Waits until more has been acknowledged. */
  async proceeds(): Promise<void> {
    const enough = this.acknowledged.length + 20;
    const deadline = Date.now() + LONGEST_RECOVERY;
    while (this.acknowledged.length < enough) {
      if (Date.now() > deadline) throw new Error('the store did not work again after the cut');
      await sleep(2);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writers);
  }
}

async function untilAnswers(ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + LONGEST_RECOVERY;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'unavailable' || Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
