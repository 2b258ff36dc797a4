import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { Failure } from '../../kernel/errors.ts';
import { expireLog } from '../../ops/recovery/expire.ts';
import type { LogShelf } from '../../ops/recovery/shipping.ts';
import { surveyLog } from '../../ops/recovery/survey.ts';
import { NO_POSITION, POSITION } from '../../store/change-frame.ts';
import { listSpool } from '../../store/change-spool.ts';
import { digestOf, Logged } from './logged.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const PATIENCE = { timeout: 20_000, interval: 5 };
const DAY = 86_400_000;

describe.skipIf(!here)('the recovery log in trouble (needs the sqlite engine)', () => {
  it('is not said to be well while its spool cannot be written', async () => {
    await using logged = new Logged({ seed: 41 });
    mkdirSync(path.dirname(logged.path), { recursive: true });
    // A file where the folder should be: nobody can write there, root neither.
    writeFileSync(logged.spool, '');
    await logged.open();
    await logged.live(3);
    await using shipper = logged.ship();
    await vi.waitFor(() => expect(shipper.states()[0]?.problem).toMatch(/cannot be written/), PATIENCE);
    logged.now += 90_000;
    expect(shipper.states()[0]?.lag).toBe(90_000);
    rmSync(logged.spool);
    await logged.live(2);
    await vi.waitFor(() => expect(shipper.states()).toEqual([AT_REST]), PATIENCE);
    expect(logged.faults).toEqual([]);
  });

  it('is behind on a target that is away, also after the clock went back', async () => {
    await using logged = await new Logged({ seed: 43 }).open();
    await logged.live(2);
    const [there] = logged.shelves as [LogShelf];
    let isAway = false;
    const fails = () => {
      if (isAway) throw new Failure('unavailable', 'It is away.');
    };
    const shelf = spoiled(there.shelf, { write: fails, list: fails });
    await using shipper = logged.ship({}, [{ name: 'shelf-0', shelf }]);
    await vi.waitFor(() => expect(shipper.states()).toEqual([AT_REST]), PATIENCE);
    isAway = true;
    await logged.live(1);
    await vi.waitFor(() => expect(shipper.states()[0]?.problem).toBe('It is away.'), PATIENCE);
    logged.now -= DAY;
    await vi.waitFor(() => {
      logged.now += 1000;
      expect(shipper.states()[0]?.lag).toBeGreaterThan(60_000);
    }, PATIENCE);
  });

  it('reaches each moment by the clock of then, after it went back', async () => {
    await using logged = await new Logged({ seed: 45 }).open();
    await logged.live(5);
    const before = { base: logged.base(), end: logged.now };
    await logged.shipAll();
    logged.now -= DAY;
    await logged.live(2);
    const base = logged.base();
    const from = logged.now;
    await logged.live(20);
    await logged.shipAll();
    const history = logged.history.slice(-21);
    for (const { at } of history) {
      const { replayed, digest } = await logged.restore(base, at);
      expect(replayed).toMatchObject({ complete: true, reached: at, faults: [] });
      expect(digest).toBe(history.findLast((one) => one.at <= at)?.digest);
    }
    expect(from).toBeLessThan(logged.now);
    expect((await logged.restore(before.base, before.end)).replayed).toMatchObject({ complete: true });
    const chains = await surveyLog(logged.reading());
    expect(chains.at(-1)).toMatchObject({ from: expect.any(Number), until: logged.now });
    expect(chains.at(-1)?.from).toBeLessThanOrEqual(base.at);
  });

  it('goes on being shipped while a look at the target takes its time', async () => {
    await using logged = await new Logged({ seed: 47 }).open();
    await logged.live(3);
    await logged.shipAll();
    const [there] = logged.shelves as [LogShelf];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: reading, resolve: begun } = Promise.withResolvers<void>();
    const shelf = spoiled(there.shelf, {
      async read() {
        begun();
        await released;
      },
    });
    await using shipper = logged.ship({ look: 10 }, [{ name: 'shelf-0', shelf }]);
    await reading;
    await logged.live(5);
    await vi.waitFor(() => expect(lastOf(logged.segments())).toBe(logged.position?.batch), PATIENCE);
    await vi.waitFor(() => expect(shipper.states()).toEqual([AT_REST]), PATIENCE);
    release();
  });

  it('is not ended for what was wrong with the chain before', async () => {
    await using logged = await new Logged({ seed: 49 }).open();
    await logged.live(3);
    await logged.shipAll();
    const [there] = logged.shelves as [LogShelf];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: reading, resolve: begun } = Promise.withResolvers<void>();
    const { chain: former } = logged.position ?? {};
    const shelf = spoiled(there.shelf, {
      async read(name) {
        if (!name.startsWith(`log.${former}`)) return;
        begun();
        await released;
        throw new Failure('refused', 'It is damaged.');
      },
    });
    const shipper = logged.ship({ look: 10 }, [{ name: 'shelf-0', shelf }]);
    await reading;
    const setting = { name: POSITION, value: NO_POSITION, updated_at: logged.now };
    await logged.store.settings.put({ setting, if_absent: false });
    await logged.live(2);
    const { chain = '' } = logged.position ?? {};
    release();
    await vi.waitFor(() => expect(hasHead(logged, chain)).toBe(true), PATIENCE);
    await shipper[Symbol.asyncDispose]();
    await logged.live(1);
    expect(logged.position?.chain).toBe(chain);
    expect(logged.faults).toEqual([]);
  });

  it('is not ended while its first commit is on its way to the disk', async () => {
    await using logged = await new Logged({ seed: 50 }).open();
    await logged.live(3);
    await logged.shipAll();
    const { store } = logged;
    // The file of the next chain is there before the database tells of it.
    const before = await store.settings.get({ name: POSITION });
    const setting = { name: POSITION, value: NO_POSITION, updated_at: logged.now };
    await store.settings.put({ setting, if_absent: false });
    const reading = vi.spyOn(store.settings, 'get').mockResolvedValue(before);
    await using shipper = logged.ship({ look: 10 });
    const asked = () => reading.mock.calls.length;
    await vi.waitFor(() => expect(asked()).toBeGreaterThan(30), PATIENCE);
    reading.mockRestore();
    await logged.live(3);
    await vi.waitFor(
      () => expect(lastOf(logged.segments().slice(-1))).toBe(logged.position?.batch),
      PATIENCE,
    );
    await vi.waitFor(() => expect(shipper.states()).toEqual([AT_REST]), PATIENCE);
    expect(logged.segments().at(-1)).toContain(logged.position?.chain);
    expect(logged.faults).toEqual([]);
  });

  it('is not taken for damaged because somebody prunes during a look', async () => {
    await using logged = await new Logged({ seed: 51 }).open();
    await shipOneByOne(logged, 6);
    const [there] = logged.shelves as [LogShelf];
    const all = logged.segments();
    const gone = all.slice(0, 3);
    const { chain = '' } = logged.position ?? {};
    rmSync(headFile(logged, chain));
    const shelf = spoiled(there.shelf, {
      read() {
        for (const name of gone) rmSync(path.join(logged.shelfFolders[0] ?? '', name), { force: true });
      },
    });
    await using _shipper = logged.ship({}, [{ name: 'shelf-0', shelf }]);
    await vi.waitFor(() => expect(hasHead(logged, chain)).toBe(true), PATIENCE);
    expect(logged.segments()).toEqual(all.slice(3));
    expect(logged.faults).toEqual([]);
  });

  it('is not read through at one look after a start, but at several', { timeout: 60_000 }, async () => {
    await using logged = await new Logged({ seed: 53 }).open();
    await shipOneByOne(logged, 150);
    const [there] = logged.shelves as [LogShelf];
    const read = new Set<string>();
    let reads = 0;
    const shelf = spoiled(there.shelf, {
      read(name) {
        read.add(name);
        reads += 1;
      },
    });
    const { chain = '' } = logged.position ?? {};
    rmSync(headFile(logged, chain));
    await using _shipper = logged.ship({ look: 2000 }, [{ name: 'shelf-0', shelf }]);
    await vi.waitFor(() => expect(hasHead(logged, chain)).toBe(true), PATIENCE);
    expect(reads).toBe(128);
    expect(read).toContain(logged.segments().at(-1));
    await vi.waitFor(() => {
      expect(logged.segments().filter((name) => !read.has(name))).toEqual([]);
    }, PATIENCE);
  });

  it('fills no disk with what the targets have: a flood goes from the spool when it was shipped', {
    timeout: 60_000,
  }, async () => {
    await using logged = await new Logged({ seed: 55 }).open();
    await logged.live(1);
    const { chain } = logged.position ?? {};
    await using shipper = logged.ship({ mergeSize: 2 ** 30 });
    for (let n = 0; n < 50; n++) {
      const setting = { name: `flood-${n}`, value: 'x'.repeat(2 * 2 ** 20), updated_at: logged.now };
      await logged.store.settings.put({ setting, if_absent: false });
    }
    await vi.waitFor(() => expect(lastOf(logged.segments())).toBe(logged.position?.batch), PATIENCE);
    await vi.waitFor(() => {
      const size = listSpool(logged.spool).reduce((sum, file) => sum + file.size, 0);
      expect(size).toBeLessThanOrEqual(64 * 2 ** 20);
    }, PATIENCE);
    expect(logged.position?.chain).toBe(chain);
    expect(shipper.states()[0]?.problem).toBeUndefined();
  });

  it('is tidied up by whoever prunes, where the server may not remove anything', async () => {
    await using logged = await new Logged({ seed: 57 }).open();
    await logged.live(1);
    await logged.shipAll();
    const base = logged.base();
    await shipOneByOne(logged, 5);
    const [there] = logged.shelves as [LogShelf];
    const shelf = spoiled(there.shelf, {
      remove() {
        throw new Failure('configuration', 'It refuses.');
      },
    });
    logged.now += 2 * 3_600_000;
    await logged.shipAll({}, [{ name: 'shelf-0', shelf }]);
    const small = logged.segments().filter((name) => !name.includes('.hour.'));
    expect(small.length).toBeGreaterThan(3);
    const request = { ...logged.reading(), before: 0 };
    expect([...(await expireLog(there.shelf, request))].sort()).toEqual(small);
    expect(logged.segments()).toHaveLength(1);
    const { replayed, digest } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ complete: true, faults: [] });
    expect(digest).toBe(digestOf(logged.path));
  });

  it('reaches into the spool of a killed server, where that is at hand', async () => {
    await using logged = await new Logged({ seed: 59 }).open();
    await logged.live(3);
    const base = logged.base();
    await logged.live(3);
    const reading = { ...logged.reading(), spool: logged.spool };
    const whole = {
      chain: logged.position?.chain,
      last: logged.position?.batch,
      until: logged.now,
      faults: [],
    };
    // Nothing of it was ever shipped.
    expect(await surveyLog(reading)).toMatchObject([whole]);
    await logged.shipAll();
    await logged.live(4);
    expect(await surveyLog(logged.reading())).toMatchObject([{ ...whole, last: expect.any(Number) }]);
    const { chain, batch: last } = logged.position ?? {};
    expect(await surveyLog(reading)).toMatchObject([{ chain, last, until: logged.now, faults: [] }]);
    vi.spyOn(logged, 'reading').mockReturnValue(reading);
    const { replayed, digest } = await logged.restore(base, logged.now);
    expect(replayed).toMatchObject({ complete: true, reached: logged.now });
    expect(digest).toBe(digestOf(logged.path));
  });
});

const AT_REST = { shelf: 'shelf-0', lag: 0, problem: undefined };

type Spoiling = Partial<Record<'read' | 'write' | 'list' | 'remove', (name: string) => void | Promise<void>>>;

/** The same shelf, with something that happens before each step. */
function spoiled(shelf: Shelf, before: Spoiling): Shelf {
  return {
    describe: () => shelf.describe(),
    async write(name, source, options) {
      await before.write?.(name);
      return shelf.write(name, source, options);
    },
    async *read(name, signal) {
      await before.read?.(name);
      yield* shelf.read(name, signal);
    },
    async *list(after, signal) {
      await before.list?.(after);
      yield* shelf.list(after, signal);
    },
    async remove(name) {
      await before.remove?.(name);
      return shelf.remove(name);
    },
    sweep: (time) => shelf.sweep(time),
    proveLock: () => shelf.proveLock(),
  };
}

/** A look that has found nothing writes it. */
function headFile(logged: Logged, chain: string): string {
  return path.join(logged.shelfFolders[0] ?? '', `log.${chain}.head`);
}

function hasHead(logged: Logged, chain: string): boolean {
  return existsSync(headFile(logged, chain));
}

/** So many commits, each in a segment of its own. */
async function shipOneByOne(logged: Logged, count: number): Promise<void> {
  await logged.live(1);
  await using _shipper = logged.ship({ interval: 1 });
  for (let n = 0; n < count; n++) {
    const setting = { name: `s${n}`, value: 'v', updated_at: logged.now };
    await logged.store.settings.put({ setting, if_absent: false });
    const last = logged.position?.batch;
    await vi.waitFor(() => expect(lastOf(logged.segments())).toBe(last), PATIENCE);
  }
}

/** The last frame in them. */
function lastOf(segments: readonly string[]): number {
  return Math.max(0, ...segments.map((name) => Number(/-(\d{12})\./.exec(name)?.[1])));
}
