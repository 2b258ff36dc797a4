// A bucket that fails at the n-th request of a backup and of a prune: once, and it is made good; from then on, and whoever asked
// is told; and in no case is anything listed that is not whole, or gone without a receipt.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  BUCKET,
  CREDENTIALS,
  type Fate,
  type Seen,
  startBucket,
  type TestBucket,
} from '../../src/archive/targets/s3.test-kit.ts';
import { openBucket } from '../../src/archive/targets/s3.ts';
import { makeTarget } from '../../src/archive/targets/target.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { BackupPlace } from '../../src/ops/backup/place.ts';
import { pruneBackups } from '../../src/ops/backup/prune.ts';
import { readReceipts } from '../../src/ops/backup/receipts.ts';
import { type Deployment, openDeployment, SYSTEM } from '../ops/backup-kit.ts';
import { wholeBackups } from './checks/scene.ts';
import { times } from './scale.ts';

const PATIENCE = 120_000;
/** A prune is asked for after every so many requests. */
const STRIDE = times(3, 1);
const DAY = 24 * 60 * 60 * 1000;
/** What may be over after one more try, and what will not. */
const PASSING: readonly Fate[] = ['drop', 'fail', 'slow', 'lost', { status: 500 }];
const LASTING: readonly [fate: Fate, code: RegExp][] = [
  ['drop', /does not answer/],
  ['lost', /does not answer/],
  [{ status: 500 }, /does not answer/],
  ['fail', /does not answer/],
  [{ status: 403 }, /refuses/],
];

let bucket: TestBucket;
let deployment: Deployment;
let runs = 0;

beforeAll(async () => {
  bucket = await startBucket();
  // The bucket has nothing to do with the engine.
  deployment = await openDeployment({ name: 'sqlite' }, { BACKUP_PLAINTEXT: 'true' });
});
afterAll(async () => {
  await deployment?.[Symbol.asyncDispose]();
  await bucket?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  bucket.fate = well;
  runs += 1;
});

/** s3rver cannot list the uploads that were not finished; there are none. */
function well({ query }: Seen): Fate {
  return query.has('uploads') ? { status: 200, body: '<ListMultipartUploadsResult/>' } : 'pass';
}

async function open(tries: number): Promise<BackupPlace> {
  const { endpoint } = bucket;
  const place = { bucket: BUCKET, prefix: `run${runs}/`, region: 'us-east-1', endpoint, pathStyle: true };
  const shelf = await openBucket({ ...place, credentials: CREDENTIALS, tries }, systemClock);
  return { target: makeTarget('away', shelf), shelf, policy: { keep: { last: 1 }, minimum: 1 } };
}

/** Spoils requests from now on: the n-th, or all from there. */
function spoil(n: number, fate: Fate, { forGood }: { forGood: boolean }): { wasHit(): boolean } {
  const before = bucket.seen.length;
  bucket.fate = (seen) => {
    const nth = seen.number - before;
    return nth === n || (forGood && nth > n) ? fate : well(seen);
  };
  return { wasHit: () => bucket.seen.length - before >= n };
}

const create = (place: BackupPlace) => deployment.create({}, { places: async () => [place] });
const prune = (place: BackupPlace) =>
  pruneBackups(
    { ...deployment.desk, places: async () => [place] },
    { target: null, dry_run: false, accept: ['kept_set_shrinks'] },
    new AbortController().signal,
    SYSTEM,
  );
async function listed({ target }: BackupPlace, at: string): Promise<readonly string[]> {
  bucket.fate = well;
  return (await wholeBackups(target, await deployment.desk.trust(), at)).map(({ id }) => id);
}

test('once, at every request of a backup: it is made and verified', { timeout: PATIENCE }, async () => {
  const place = await open(4);
  let isHit = true;
  for (let n = 1; isHit; n++) {
    const fate = PASSING[n % PASSING.length] ?? 'fail';
    const { wasHit } = spoil(n, fate, { forGood: false });
    const { outcome, targets } = await create(place);
    isHit = wasHit();
    expect([outcome, targets], `request ${n}: ${JSON.stringify(fate)}`).toMatchObject([
      'verified',
      [{ outcome: 'verified' }],
    ]);
    expect(n).toBeLessThan(40);
  }
});

test('for good, from every request of a backup on: nothing that is not whole is listed, and the next one is made', {
  timeout: PATIENCE,
}, async () => {
  const place = await open(1);
  // So that the bucket is never one that has lost everything, which would be told.
  const { id: kept } = await create(place);
  let failed = 0;
  for (let n = 1, isHit = true; isHit; n++) {
    const [fate, reason] = LASTING[n % LASTING.length] ?? (['fail', /./] as const);
    const { wasHit } = spoil(n, fate, { forGood: true });
    const report = await create(place);
    isHit = wasHit();
    const at = `request ${n}: ${JSON.stringify(fate)}`;
    const ids = (await listed(place, at)).filter((id) => id !== kept);
    for (const id of ids) expect(id, at).toBe(report.id);
    if (report.outcome !== 'verified') {
      failed += 1;
      expect(report.targets, at).toMatchObject([{ outcome: expect.not.stringMatching('^verified$') }]);
      if (ids.length === 0) expect(report.targets[0]?.reason, at).toMatch(reason);
    }
    for (const id of ids) await place.target.remove(id);
  }
  expect(failed).toBeGreaterThan(3);
  expect(await create(place)).toMatchObject({ outcome: 'verified' });
});

test('for good, from every request of a prune on: nothing goes without a receipt, and the next one goes on', {
  timeout: PATIENCE,
}, async () => {
  const [place, patient] = [await open(1), await open(4)];
  const made: string[] = [];
  for (let n = 1, isHit = true; isHit; n += STRIDE) {
    for (let more = 0; more < 2; more++) made.push((await create(patient)).id ?? '');
    const [fate] = LASTING[n % LASTING.length] ?? (['fail'] as const);
    const { wasHit } = spoil(n, fate, { forGood: true });
    const { targets } = await prune(place);
    isHit = wasHit();
    const at = `request ${n}: ${JSON.stringify(fate)}`;
    if (isHit) expect(targets[0]?.reason, at).toMatch(/does not answer|refuses/);
    const there = await listed(place, at);
    expect(there, at).toContain(made.at(-1));
    const text = await readFile(path.join(deployment.stateDir, 'receipts.ndjson'), 'utf8').catch(() => '');
    const receipts = new Set(readReceipts(text).receipts.map(({ id }) => id));
    const unaccounted = made.filter((id) => !there.includes(id) && !receipts.has(id));
    expect(unaccounted, at).toEqual([]);
    // The next one goes on with what is left.
    expect((await prune(patient)).targets, at).toMatchObject([{ outcome: 'pruned' }]);
    expect(await listed(place, at)).toEqual([made.at(-1)]);
    await patient.target.sweep(Date.now() + 2 * DAY);
    expect(n).toBeLessThan(60);
  }
});
