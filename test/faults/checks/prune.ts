// A prune removes what its plan says and nothing else, and leaves a receipt for each; whenever it dies, and whatever clocks say.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { signVerification } from '../../../src/archive/catalog.ts';
import { planRetention, type RetentionItem } from '../../../src/archive/retention.ts';
import { Folder } from '../../../src/archive/targets/folder.ts';
import { idOf, publish, signer } from '../../../src/archive/targets/publish.test-kit.ts';
import { makeTarget } from '../../../src/archive/targets/target.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import { type PruneReport, prune } from '../../../src/ops/backup/prune.ts';
import { readReceipts, receiptsIn } from '../../../src/ops/backup/receipts.ts';
import { type Fate, ForgetfulDisk, type Loss } from '../forgetful-disk.ts';
import { fatePasses, lossPasses } from '../scale.ts';
import { type Folders, makeFolders, wholeBackups } from './scene.ts';

const trust = [signer.publicKey];
const ALL = [1, 2, 3, 4].map(idOf);
const KEPT = [3, 4].map(idOf);
const GOING = [1, 2].map(idOf);

export async function checkPruneCutOff(): Promise<void> {
  for (const lossAt of lossPasses()) await everyStep(lossAt, () => 'dies');
}

/** The disk fails once, or is full from then on: nothing goes without a receipt, and whoever asked is told. */
export async function checkPruneOnBadDisk(): Promise<void> {
  for (const fateAt of fatePasses()) await everyStep(() => 'nothing', fateAt);
}

async function everyStep(lossAt: (step: number) => Loss, fateAt: (step: number) => Fate): Promise<void> {
  for (let fatal = 0; ; fatal++) {
    const [loss, fate] = [lossAt(fatal), fateAt(fatal)];
    await using folders = await makeFolders();
    const target = targetIn(folders);
    for (const [index, id] of ALL.entries()) {
      const { sha256 } = await publish(target, index + 1);
      await target.mark(id, 'verified', await proofOf(id, sha256));
    }
    const disk = new ForgetfulDisk(fatal, folders.trash, { fate });
    const report = await prunedOn(folders, disk);
    disk.cut(loss);
    const place = `after step ${fatal} (${fate}), ${loss} lost`;
    await judge(folders, place);
    if (fate !== 'dies' && disk.isHit) checkReport(report, place);

    const again = await pruned(folders);
    assert.equal(again.targets[0]?.outcome, 'pruned', place);
    assert.deepEqual(await judge(folders, place), KEPT, place);
    if (!disk.isHit) return assert.ok(fatal > 15, `nothing was cut off in ${fatal} steps`);
  }
}

/** What is there is whole, what has to stay is there, and what is not there has its receipt. */
async function judge(folders: Folders, place: string): Promise<readonly string[]> {
  const there = (await wholeBackups(targetIn(folders), trust, place)).map(({ id }) => id);
  const gone = ALL.filter((id) => !there.includes(id));
  assert.ok(
    gone.every((id) => GOING.includes(id)),
    `${gone} are gone ${place}`,
  );
  const text = await readFile(path.join(folders.root, 'receipts.ndjson'), 'utf8').catch(() => '');
  const receipts = readReceipts(text).receipts.map(({ id }) => id);
  for (const id of gone) assert.ok(receipts.includes(id), `${id} is gone without a receipt ${place}`);
  return there;
}

function checkReport(report: PruneReport | undefined, place: string): void {
  const [target] = report?.targets ?? [];
  assert.ok(target, `there is no report ${place}`);
  assert.ok(target.outcome === 'pruned' || target.reason, `nobody is told why ${place}`);
}

async function prunedOn(folders: Folders, disk: ForgetfulDisk): Promise<PruneReport | undefined> {
  using _ = disk.install(folders.root);
  // Not before it is done: the disk goes when this returns.
  return await pruned(folders).catch(() => undefined);
}

function pruned(folders: Folders): Promise<PruneReport> {
  const receipts = receiptsIn(path.join(folders.root, 'receipts.ndjson'), () => Date.now());
  const target = targetIn(folders);
  const shelf = shelfIn(folders);
  return prune(
    {
      places: [{ target, shelf, policy: { keep: { last: 2 }, minimum: 1 } }],
      trust,
      deploymentId: 'dep_1',
      clock: { now: () => Date.now() },
      lastKept: async () => undefined,
      keepKept: async () => undefined,
      writeReceipt: (removal) => receipts.write(removal),
      withdrawReceipt: (removal, reason) => receipts.withdraw(removal, reason),
    },
    { target: null, dry_run: false, accept: ['future_dated', 'clock_jumped'] },
    new AbortController().signal,
  );
}

function shelfIn({ root }: Folders): Folder {
  return new Folder({ folder: path.join(root, 'backups'), random: systemRandom });
}

function targetIn(folders: Folders) {
  return makeTarget('local', shelfIn(folders));
}

function proofOf(id: string, sha256: string): Promise<Buffer> {
  const proof = { id, archive_sha256: sha256, passed: true, verified_at: 1, rto_ms: 1, program: '0' };
  return signVerification({ ...proof, findings: [] }, signer);
}

/** The newest is the one of the highest sequence, whatever the clock of whoever made it said. */
export async function checkPruneByClocks(): Promise<void> {
  const day = 24 * 60 * 60 * 1000;
  const start = Date.UTC(2026, 0, 1);
  // The clock was a year ahead for a while, and two years behind for a while.
  const jumps = [0, 365, 365, 0, 0, -730, -730, 0];
  const items: RetentionItem[] = jumps.map((jump, index) => ({
    id: idOf(index + 1),
    sequence: index + 1,
    deploymentId: 'dep_1',
    madeAt: start + (index + jump) * day,
    state: 'verified',
    isPinned: false,
  }));
  const plan = planRetention(
    { deploymentId: 'dep_1', items },
    { keep: { last: 3 }, minimum: 1 },
    start + 10 * day,
  );
  const kept = plan.decisions.filter(({ keeps }) => keeps).map(({ id }) => id);
  assert.deepEqual(kept, [8, 7, 6].map(idOf), 'the newest by sequence stay');
  assert.deepEqual(plan.stops.map(({ kind }) => kind).sort(), ['clock_jumped', 'future_dated']);
}
