// Backups when a target, the database or a clock is in trouble: what is said of them is so, and nothing goes that has to stay.

import { readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readHolding } from '../../src/archive/catalog.ts';
import { Folder } from '../../src/archive/targets/folder.ts';
import { makeTarget, type Target } from '../../src/archive/targets/target.ts';
import { Failure } from '../../src/kernel/errors.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { createFailure } from '../../src/ops/backup/create-report.ts';
import { pinBackup } from '../../src/ops/backup/pin.ts';
import type { BackupPlace } from '../../src/ops/backup/place.ts';
import { pruneBackups } from '../../src/ops/backup/prune.ts';
import { readReceipts } from '../../src/ops/backup/receipts.ts';
import { type Deployment, openDeployment, SYSTEM, targetWith } from './backup-kit.ts';

const SQLITE = { name: 'sqlite' } as const;
const AWAY = new Failure('unavailable', 'The bucket does not answer.');
const NEVER = new AbortController().signal;
const KEEP_ONE = {
  BACKUP_PLAINTEXT: 'true',
  BACKUP_MINIMUM: '1',
  BACKUP_KEEP_LAST: '1',
  BACKUP_KEEP_DAILY: '0',
  BACKUP_KEEP_WEEKLY: '0',
  BACKUP_KEEP_MONTHLY: '0',
};

function changed(place: BackupPlace, changes: Partial<Target>): BackupPlace {
  return { ...place, target: targetWith(place.target, changes) };
}

async function twoPlaces({ desk, stateDir }: Deployment): Promise<readonly [BackupPlace, BackupPlace]> {
  const [local] = await desk.places();
  if (!local) throw new Error('there is no target');
  const shelf = new Folder({ folder: path.join(stateDir, 'away'), random: systemRandom });
  return [local, { ...local, shelf, target: makeTarget('away', shelf) }];
}

// biome-ignore lint/correctness/useYield: it fails before there is anything
async function* failing(error: unknown): AsyncGenerator<Uint8Array> {
  throw error;
}

describe('backups in trouble (needs the sqlite engine)', () => {
  test('a copy that cannot be read back is neither called damaged nor marked as failed; the others are verified', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const [local, away] = await twoPlaces(deployment);
    const silent = changed(away, { open: () => failing(AWAY) });
    const report = await deployment.create({}, { places: async () => [local, silent] });
    expect(report).toMatchObject({
      outcome: 'failed',
      targets: [
        { target: 'local', outcome: 'verified', reason: null },
        { target: 'away', outcome: 'published', reason: expect.stringContaining(AWAY.message) },
      ],
    });
    expect(createFailure(report)?.message).toContain(`away: it could not be read back: ${AWAY.message}`);
    const entry = readHolding(await away.target.find(String(report.id)), await deployment.desk.trust());
    expect([entry.record?.id, entry.verification]).toEqual([report.id, undefined]);
  });

  test('a target where nothing is of what was put there gets the backup, and is told of, once', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const [local, away] = await twoPlaces(deployment);
    const places = async () => [local, away];
    const first = await deployment.create({}, { places });
    expect(first).toMatchObject({ outcome: 'verified' });
    const disk = path.join(deployment.stateDir, 'away');
    await rename(disk, `${disk}-unmounted`);
    const second = await deployment.create({}, { places });
    expect(second).toMatchObject({
      outcome: 'failed',
      targets: [
        { target: 'local', outcome: 'verified', reason: null },
        {
          target: 'away',
          outcome: 'verified',
          reason: expect.stringContaining(`up to ${first.id}: is its disk mounted?`),
        },
      ],
    });
    expect(createFailure(second)).toMatchObject({
      code: 'failed',
      message: expect.stringContaining('away: nothing was there'),
    });
    expect(await deployment.create({}, { places })).toMatchObject({ outcome: 'verified' });
    // Mounted again, with what was there before; then the newest of it is gone, as after a prune.
    await rm(disk, { recursive: true });
    await rename(`${disk}-unmounted`, disk);
    expect(await deployment.create({}, { places })).toMatchObject({ outcome: 'verified' });
  });

  test('which no target has is no backup', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const [local] = await twoPlaces(deployment);
    const report = await deployment.create(
      {},
      { places: async () => [changed(local, { put: () => Promise.reject(AWAY) })] },
    );
    expect(createFailure(report)).toMatchObject({
      code: 'unavailable',
      message: `No backup was made: no target took it. local: ${AWAY.message}`,
    });
  });

  test('stopped while it is read back, it is said to be made and not tried', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const [local] = await twoPlaces(deployment);
    const stop = new AbortController();
    const open: Target['open'] = () => {
      stop.abort();
      return failing(new Failure('interrupted', 'Reading the backup was stopped.'));
    };
    const creating = deployment.create({}, { places: async () => [changed(local, { open })] }, stop.signal);
    await expect(creating).rejects.toMatchObject({
      code: 'interrupted',
      hint: expect.stringContaining('authserver backup verify'),
    });
  });

  test('a proof that a target does not keep is the reason that is told', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const [local] = await twoPlaces(deployment);
    const forgetful = changed(local, { mark: () => Promise.reject(AWAY) });
    const report = await deployment.create({}, { places: async () => [forgetful] });
    expect(createFailure(report)?.message).toContain(
      `local: the proof could not be kept there: ${AWAY.message}`,
    );
  });

  test('why there is no backup is told, also when the database cannot note it', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const failure = new Failure('configuration', 'The archive cannot be put together.');
    const changes = {
      pack: () => Promise.reject(failure),
      audit: { record: () => Promise.reject(new Failure('unavailable', 'The database is away.')) },
    };
    await expect(deployment.create({}, changes)).rejects.toBe(failure);
  });

  test('a pin is not called done while a target that may have the backup does not answer', async () => {
    await using deployment = await openDeployment(SQLITE, { BACKUP_PLAINTEXT: 'true' });
    const [local, away] = await twoPlaces(deployment);
    const { id } = await deployment.create({}, { places: async () => [local, away] });
    const silent = changed(away, { find: () => Promise.reject(AWAY) });
    const desk = { ...deployment.desk, places: async () => [local, silent] };
    const pinning = pinBackup(desk, { id: String(id), pinned: true, reason: '' }, SYSTEM);
    await expect(pinning).rejects.toMatchObject({
      message: expect.stringContaining(`away: ${AWAY.message}`),
    });
    const entry = readHolding(await local.target.find(String(id)), await desk.trust());
    expect(entry.pin?.pinned).toBe(true);
  });

  test('what is pinned while a prune is under way stays', async () => {
    await using deployment = await openDeployment(SQLITE, KEEP_ONE);
    const { desk } = deployment;
    const first = await deployment.create();
    await deployment.create();
    const [local] = await twoPlaces(deployment);
    // Between the listing and the first removal.
    const list: Target['list'] = async function* (options) {
      yield* local.target.list(options);
      await pinBackup(desk, { id: String(first.id), pinned: true, reason: '' }, SYSTEM);
    };
    const places = async () => [changed(local, { list })];
    const request = { target: null, dry_run: false, accept: [] };
    const { targets } = await pruneBackups({ ...desk, places }, request, NEVER, SYSTEM);
    expect(targets).toMatchObject([
      { outcome: 'pruned', removed: [], decisions: [{ keeps: true }, { id: first.id, keeps: true }] },
    ]);
    expect((await local.target.find(String(first.id))).archive).toBeDefined();
  });

  test.each([
    ['before anything of it is gone', 0, 0],
    ['when it is no backup any more', 1, 1],
  ])('a removal that fails %s is accounted for as it is', async (_, records, receipts) => {
    await using deployment = await openDeployment(SQLITE, KEEP_ONE);
    const { desk, rooms, stateDir } = deployment;
    const first = await deployment.create();
    await deployment.create();
    const [local] = await twoPlaces(deployment);
    const remove: Target['remove'] = async (id) => {
      if (records > 0) await local.shelf.remove(`${id}.manifest.ndjson`);
      throw AWAY;
    };
    const places = async () => [changed(local, { remove })];
    const request = { target: null, dry_run: false, accept: [] };
    const { targets } = await pruneBackups({ ...desk, places }, request, NEVER, SYSTEM);
    expect(targets).toMatchObject([{ outcome: 'failed', reason: AWAY.message, removed: [] }]);
    const kept = readReceipts(await readFile(path.join(stateDir, 'receipts.ndjson'), 'utf8'));
    const expected = Array.from({ length: receipts }, () => first.id);
    expect(kept.receipts.map(({ id }) => id)).toEqual(expected);
    const events = await rooms.store.audit.list({ after: 0, limit: 100 });
    expect(events.filter(({ action }) => action === 'backup.removed')).toHaveLength(receipts);
  });
});
