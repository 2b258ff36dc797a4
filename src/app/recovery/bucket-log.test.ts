import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import {
  BUCKET,
  CREDENTIALS,
  type Fate,
  startBucket,
  type TestBucket,
} from '../../archive/targets/s3.test-kit.ts';
import { openBucket } from '../../archive/targets/s3.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import { surveyLog } from '../../ops/recovery/survey.ts';
import { replayLog } from './log-source.ts';
import { digestOf, Logged } from './logged.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const PATIENCE = { timeout: 30_000, interval: 10 };
const LONG = 120_000;

let bucket: TestBucket;
let runs = 0;
beforeAll(async () => {
  bucket = await startBucket();
});
afterAll(() => bucket[Symbol.asyncDispose]());
beforeEach(() => {
  bucket.fate = () => 'pass';
  bucket.seen.length = 0;
  runs += 1;
});

describe.skipIf(!here)('the recovery log in a bucket (needs the sqlite engine)', () => {
  it('reaches every commit through connections that break, refuse and crawl', { timeout: LONG }, async () => {
    const identity = makeIdentity(systemRandom);
    const encryption = { kind: 'age', recipients: [recipientOf(identity)] } as const;
    await using logged = await new Logged({ seed: 61, encryption }).open();
    const shelves = [{ name: 'bucket', shelf: await open() }];
    await logged.live(3);
    const base = logged.base();
    const fates: readonly Fate[] = ['drop', 'fail', 'slow', 'pass', 'pass'];
    // Only what answers with something can be cut in its middle.
    bucket.fate = ({ method }) =>
      (method === 'GET' ? (['cut', ...fates] as const) : fates)[logged.chance(fates.length)] ?? 'pass';
    {
      await using shipper = logged.ship({ look: 20, mergeAge: 20_000 }, shelves);
      await logged.live(40);
      bucket.fate = () => 'pass';
      await vi.waitFor(
        () => expect(shipper.states()[0]).toMatchObject({ lag: 0, problem: undefined }),
        PATIENCE,
      );
    }
    expect(logged.faults).toEqual([]);
    expect(logged.seen).toHaveLength(1);
    const [chain] = await surveyLog({ ...logged.reading(), shelves });
    const { batch } = logged.position ?? {};
    expect(chain).toMatchObject({ last: batch, until: logged.now, faults: [] });

    // Whoever reads meets the same connections.
    bucket.fate = ({ number }) => (['cut', 'fail', 'pass', 'pass'] as const)[number % 4] ?? 'pass';
    const reading = { ...logged.reading({ identities: [identity] }), shelves };
    const replayed = await replayLog(base.file, reading, 'end');
    expect(replayed).toMatchObject({ complete: true, faults: [] });
    expect(digestOf(base.file)).toBe(digestOf(logged.path));
  });

  it('holds up no commit while the bucket is slow, and lags by little', { timeout: LONG }, async () => {
    await using logged = await new Logged({ seed: 63 }).open();
    const shelf = delayed(await open(), 300);
    await using shipper = logged.ship({ interval: 20, look: 50 }, [{ name: 'bucket', shelf }]);
    let slowest = 0;
    for (let n = 0; n < 60; n++) {
      const began = performance.now();
      await logged.live(1);
      slowest = Math.max(slowest, performance.now() - began);
    }
    expect(slowest).toBeLessThan(5000);
    const { batch } = logged.position ?? {};
    const puts = () => bucket.seen.filter(({ method, path }) => method === 'PUT' && path.endsWith('.seg'));
    const isThere = () => puts().some(({ path }) => path.endsWith(`-${String(batch).padStart(12, '0')}.seg`));
    await vi.waitFor(() => expect(isThere()).toBe(true), PATIENCE);
    await vi.waitFor(
      () => expect(shipper.states()[0]).toMatchObject({ lag: 0, problem: undefined }),
      PATIENCE,
    );
    // What comes while one is on its way goes together with the next.
    expect(puts().length).toBeLessThan(batch ?? 0);
    expect(logged.faults).toEqual([]);
  });
});

async function open(): Promise<Shelf> {
  const { endpoint } = bucket;
  const place = { bucket: BUCKET, prefix: `run${runs}/`, region: 'us-east-1', endpoint, pathStyle: true };
  return openBucket({ ...place, credentials: CREDENTIALS, tries: 3 }, systemClock);
}

/** Each write takes so long, ms. */
function delayed(shelf: Shelf, time: number): Shelf {
  return new Proxy(shelf, {
    get(of, name: keyof Shelf) {
      if (name !== 'write') return of[name].bind(of);
      return async (...words: Parameters<Shelf['write']>) => {
        await new Promise((resolve) => setTimeout(resolve, time));
        return of.write(...words);
      };
    },
  });
}
