import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import { makeSigner } from '../../archive/archive.test-kit.ts';
import { expireLog } from '../../ops/recovery/expire.ts';
import { surveyLog, windowFrom } from '../../ops/recovery/survey.ts';
import { listSpool } from '../../store/change-spool.ts';
import { digestOf, Logged } from './logged.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const PATIENCE = { timeout: 20_000, interval: 5 };

describe.skipIf(!here)('the recovery log on its way (needs the sqlite engine)', () => {
  it('reaches the shelf while the database lives, and its lag is the age of the oldest that waits', async () => {
    await using logged = await new Logged().open();
    await using shipper = logged.ship();
    await logged.live(5);
    await vi.waitFor(() => expect(lastOf(logged.segments())).toBe(logged.position?.batch), PATIENCE);
    await vi.waitFor(() => expect(shipper.states()).toEqual([AT_REST]), PATIENCE);
    rmAway(logged, 0);
    await logged.live(1);
    const { now } = logged;
    logged.now += 30_000;
    await vi.waitFor(() => {
      expect(shipper.states()).toEqual([
        { shelf: 'shelf-0', lag: logged.now - now, problem: expect.any(String) },
      ]);
    }, PATIENCE);
    bringBack(logged, 0);
    await vi.waitFor(() => expect(shipper.states()).toEqual([AT_REST]), PATIENCE);
  });

  it('lacks nothing on a shelf that was away for a while, and holds up no other', async () => {
    await using logged = await new Logged({ seed: 3, shelves: 2 }).open();
    await logged.live(2);
    const base = logged.base();
    const shipper = logged.ship();
    await vi.waitFor(() => expect(logged.segments(1).length).toBeGreaterThan(0), PATIENCE);
    rmAway(logged, 1);
    await logged.live(20);
    await vi.waitFor(() => expect(lagOf(shipper, 'shelf-0')).toBe(0), PATIENCE);
    bringBack(logged, 1);
    await vi.waitFor(() => expect(lagOf(shipper, 'shelf-1')).toBe(0), PATIENCE);
    await shipper[Symbol.asyncDispose]();
    rmSync(logged.shelfFolders[0] ?? '', { recursive: true });
    const { replayed, digest } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ complete: true });
    expect(digest).toBe(digestOf(logged.path));
  });

  it('is read from any shelf where another has a gap or is damaged', async () => {
    await using logged = await new Logged({ seed: 5, shelves: 2 }).open();
    const base = await liveInSegments(logged, 6);
    const [names, others] = [logged.segments(0), logged.segments(1)];
    rmSync(file(logged, 0, names[1]));
    flip(file(logged, 0, names[3]));
    flip(file(logged, 1, others[4]));
    const { replayed, digest } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ complete: true });
    expect(replayed.faults.length).toBeGreaterThan(0);
    expect(digest).toBe(digestOf(logged.path));
  });

  it('says where it ends when a segment is missing, and reaches that', async () => {
    await using logged = await new Logged({ seed: 9 }).open();
    const base = await liveInSegments(logged, 6);
    const names = logged.segments();
    rmSync(file(logged, 0, names[3]));
    const last = lastOf(names.slice(0, 3));
    const { replayed } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ complete: false, position: { batch: last } });
    expect(replayed.faults.join()).toContain(`batches from ${last + 1} on are missing`);
    expect(replayed.reached).toBeLessThan(logged.now);
    const earlier = await logged.restore(base, replayed.reached ?? 0);
    expect(earlier.digest).toBe(logged.digestAt(replayed.reached ?? 0));
  });

  it('does not pass for complete when its newest segments are missing', async () => {
    await using logged = await new Logged({ seed: 10 }).open();
    const base = await liveInSegments(logged, 4);
    rmSync(file(logged, 0, logged.segments().at(-1)));
    const { replayed } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ complete: false });
    expect((await logged.restore(base, logged.now)).replayed).toMatchObject({ complete: false });
  });

  it('believes nobody who signs with another key', async () => {
    await using logged = await new Logged({ seed: 12 }).open();
    const base = await liveInSegments(logged, 3);
    const reading = { ...logged.reading(), trust: [makeSigner().publicKey] };
    vi.spyOn(logged, 'reading').mockReturnValue(reading);
    const { replayed } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ batches: 0, complete: false });
    expect(await surveyLog(reading)).toEqual([]);
  });

  describe('finds within a look, and begins a new chain, when', () => {
    const found = async (harm: (logged: Logged) => unknown) => {
      await using logged = await new Logged({ seed: 21 }).open();
      await liveInSegments(logged, 5);
      const former = logged.position?.chain;
      await harm(logged);
      await using _shipper = logged.ship({ look: 10 });
      await vi.waitFor(() => expect(logged.faults).toEqual(['shelf-0']), PATIENCE);
      await vi.waitFor(() => expect(logged.position?.chain).not.toBe(former), PATIENCE);
      // The new chain is whole.
      await logged.live(3);
      const base = logged.base();
      await logged.live(3);
      await logged.shipAll();
      const { replayed, digest } = await logged.restore(base, 'end');
      expect(replayed).toMatchObject({ complete: true, position: { chain: logged.position?.chain } });
      expect(digest).toBe(digestOf(logged.path));
      expect(logged.faults).toEqual(['shelf-0']);
    };

    it('a segment is missing', () => found((logged) => rmSync(file(logged, 0, logged.segments()[2]))));
    it('the newest is missing', () =>
      found((logged) => {
        rmSync(file(logged, 0, logged.segments().at(-1)));
        // Nor can it be shipped again.
        for (const { path: spooled } of listSpool(logged.spool)) rmSync(spooled);
      }));
    it('a byte was changed', () => found((logged) => flip(file(logged, 0, logged.segments()[2]))));
    it('a segment is cut', () =>
      found((logged) => {
        const name = file(logged, 0, logged.segments()[1]);
        writeFileSync(name, readFileSync(name).subarray(0, -1));
      }));
    it('a segment has the name of another', () =>
      found((logged) => {
        const [one, other] = logged.segments();
        writeFileSync(file(logged, 0, one), readFileSync(file(logged, 0, other)));
      }));
  });

  it('does not cry wolf over a healthy log, through hundreds of commits, looks and merges', {
    timeout: 60_000,
  }, async () => {
    await using logged = await new Logged({ seed: 31, limits: { longestFile: 10_000 } }).open();
    await using shipper = logged.ship({ interval: 2, look: 1, mergeAge: 50_000, mergeSize: 40_000 });
    for (let n = 0; n < 100; n++) {
      await logged.live(2);
      await vi.waitFor(() => expect(shipper.states()[0]?.lag).toBe(0), PATIENCE);
    }
    expect(logged.faults).toEqual([]);
    expect(logged.seen).toHaveLength(1);
    // What is merged is not kept beside the database.
    expect(listSpool(logged.spool).length).toBeLessThan(10);
  });

  it('tells once of a chain that has begun, and why', async () => {
    await using logged = await new Logged({ seed: 33 }).open();
    await logged.live(1);
    await logged.shipAll();
    await logged.close();
    await logged.open({ logged: false });
    await logged.live(1);
    await logged.close();
    await logged.open();
    await logged.live(2);
    await using _shipper = logged.ship();
    const { chain } = logged.position ?? {};
    const news = { chain, reason: 'the database had none' };
    await vi.waitFor(() => expect(logged.seen.at(-1)).toMatchObject(news), PATIENCE);
    expect(logged.seen).toHaveLength(2);
  });

  it('ships what commands have left while no server ran', async () => {
    await using logged = await new Logged({ seed: 35 }).open();
    await logged.live(2);
    const base = logged.base();
    await logged.close();
    await logged.open();
    await logged.live(3);
    await logged.close();
    await logged.open();
    await logged.shipAll();
    expect((await logged.restore(base, 'end')).digest).toBe(digestOf(logged.path));
  });

  it('tells the window that a backup can be taken forward in', async () => {
    await using logged = await new Logged({ seed: 37 }).open();
    await logged.live(1);
    const from = logged.now;
    logged.now += 1000;
    await liveInSegments(logged, 3);
    const chains = await surveyLog(logged.reading());
    expect(chains).toMatchObject([
      { chain: logged.position?.chain, kind: 'changes', epoch: 0, from, until: logged.now, faults: [] },
    ]);
    const made = { from: from + 500, to: from + 600 };
    const window = { from: from + 600, to: logged.now };
    expect(windowFrom(chains, { epoch: 0, recoveryPoint: made })).toEqual(window);
    expect(windowFrom(chains, { epoch: 1, recoveryPoint: made })).toBeUndefined();
    const before = { from: from - 500, to: from - 400 };
    expect(windowFrom(chains, { epoch: 0, recoveryPoint: before })).toBeUndefined();

    rmSync(file(logged, 0, logged.segments().at(-1)));
    const [cut] = await surveyLog(logged.reading());
    expect(cut?.faults).toHaveLength(1);
    expect(cut?.until).toBeLessThan(logged.now);
  });

  it('goes with the backups that it followed, and no sooner', async () => {
    await using logged = await new Logged({ seed: 39 }).open();
    await liveInSegments(logged, 4);
    const base = await liveInSegments(logged, 4);
    const [{ shelf }] = logged.shelves as [(typeof logged.shelves)[0]];
    const request = { ...logged.reading(), before: base.at };
    const before = logged.segments();
    const planned = await expireLog(shelf, { ...request, dryRun: true });
    expect(planned.length).toBeGreaterThan(0);
    expect(logged.segments()).toEqual(before);
    expect(await expireLog(shelf, request)).toEqual(planned);
    expect(logged.segments()).toEqual(before.filter((name) => !planned.includes(name)));
    const { replayed, digest } = await logged.restore(base, 'end');
    expect(replayed).toMatchObject({ complete: true, faults: [] });
    expect(digest).toBe(digestOf(logged.path));
    // Nor does anybody take it for damage.
    await logged.shipAll({ look: 1 });
    expect(logged.faults).toEqual([]);
  });

  it('takes the oldest backup forward as before, however long before it the last commit was', async () => {
    await using logged = await new Logged({ seed: 41 }).open();
    const [{ shelf }] = logged.shelves as [(typeof logged.shelves)[0]];
    await liveInSegments(logged, 4);
    logged.now += 5;
    const between = { epoch: 0, recoveryPoint: { from: logged.now, to: logged.now + 1 } };
    logged.now += 5;
    await liveInSegments(logged, 2);
    const window = windowFrom(await surveyLog(logged.reading()), between);
    expect(window).toEqual({ from: between.recoveryPoint.to, to: logged.now });
    const request = { ...logged.reading(), before: between.recoveryPoint.from };
    expect((await expireLog(shelf, request)).length).toBeGreaterThan(0);
    expect(windowFrom(await surveyLog(logged.reading()), between)).toEqual(window);
    // What nobody commits to meanwhile is as good as before, too.
    logged.now += 50;
    const idle = { epoch: 0, recoveryPoint: { from: logged.now - 20, to: logged.now - 10 } };
    await logged.shipAll({ look: 1 });
    const open = windowFrom(await surveyLog(logged.reading()), idle);
    expect(open).toEqual({ from: logged.now - 10, to: logged.now });
    await expireLog(shelf, { ...request, before: idle.recoveryPoint.from });
    expect(windowFrom(await surveyLog(logged.reading()), idle)).toEqual(open);
  });
});

const AT_REST = { shelf: 'shelf-0', lag: 0, problem: undefined };

/** A base, and so many commits after it, each in a segment of its own. */
async function liveInSegments(logged: Logged, count: number) {
  await logged.live(1);
  await logged.shipAll();
  const base = logged.base();
  for (let n = 0; n < count; n++) {
    logged.now += 10;
    await logged.live(1);
    await logged.shipAll();
  }
  return base;
}

/** The last frame in them. */
function lastOf(segments: readonly string[]): number {
  return Number(/-(\d{12})\./.exec(segments.at(-1) ?? '')?.[1]);
}

function lagOf(shipper: ReturnType<Logged['ship']>, name: string): number | undefined {
  return shipper.states().find(({ shelf }) => shelf === name)?.lag;
}

function file(logged: Logged, shelf: number, name: string | undefined): string {
  return path.join(logged.shelfFolders[shelf] ?? '', name ?? '');
}

/** One bit, in the middle of the body. */
function flip(name: string): void {
  const bytes = readFileSync(name);
  const at = Math.floor((bytes.lastIndexOf(0x0a, bytes.indexOf('"public_key"') + 100) + bytes.length) / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(name, bytes);
}

/** A file where the folder was: nothing can be read nor written there. */
function rmAway(logged: Logged, shelf: number): void {
  const folder = logged.shelfFolders[shelf] ?? '';
  if (existsSync(folder)) renameSync(folder, `${folder}.away`);
  writeFileSync(folder, '');
}

function bringBack(logged: Logged, shelf: number): void {
  const folder = logged.shelfFolders[shelf] ?? '';
  rmSync(folder);
  renameSync(`${folder}.away`, folder);
  expect(readdirSync(folder).length).toBeGreaterThan(0);
}
