// The making of a backup, cut off or failing at every step on the disk: what is listed is whole and can be opened, what is called
// verified was read back, and the next backup finds nothing in its way.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Target } from '../../../src/archive/targets/target.ts';
import { asFailure } from '../../../src/kernel/errors.ts';
import type { CreateReport } from '../../../src/ops/backup/create-report.ts';
import type { BackupPlace } from '../../../src/ops/backup/place.ts';
import { type Deployment, openDeployment, targetWith } from '../../ops/backup-kit.ts';
import type { Engine } from '../../setup/engines.ts';
import { type Fate, ForgetfulDisk, type Loss } from '../forgetful-disk.ts';
import { fatePasses, lossPasses, times } from '../scale.ts';
import { type Folders, makeFolders, wholeBackups } from './scene.ts';

const PLAIN = { BACKUP_PLAINTEXT: 'true' };
const DAY = 24 * 60 * 60 * 1000;

export async function checkCreateCutOff(engine: Engine): Promise<void> {
  await using folders = await makeFolders();
  await using deployment = await openDeployment(engine, PLAIN);
  for (const lossAt of lossPasses())
    await everyStep({ engine, deployment, folders, lossAt, fateAt: () => 'dies' });
}

/** The disk fails once, or is full from then on: there is no backup then, and whoever asked is told why. */
export async function checkCreateOnBadDisk(engine: Engine): Promise<void> {
  await using folders = await makeFolders();
  await using deployment = await openDeployment(engine, PLAIN);
  for (const fateAt of fatePasses())
    await everyStep({ engine, deployment, folders, lossAt: () => 'nothing', fateAt });
}

interface Scene {
  readonly engine: Engine;
  readonly deployment: Deployment;
  readonly folders: Folders;
  readonly lossAt: (step: number) => Loss;
  readonly fateAt: (step: number) => Fate;
}

async function everyStep({ engine, deployment, folders, lossAt, fateAt }: Scene): Promise<void> {
  const [place] = await deployment.desk.places('local');
  const { target } = place ?? assert.fail('there is no target');
  assert.equal((await deployment.create()).outcome, 'verified');
  const trust = await deployment.desk.trust();
  const listed = async (at: string) => (await wholeBackups(target, trust, at)).map(({ id }) => id);
  const before = await listed('before');
  for (let fatal = 0; ; fatal += strideOn(engine)) {
    const [loss, fate] = [lossAt(fatal), fateAt(fatal)];
    const disk = new ForgetfulDisk(fatal, folders.trash, { fate });
    const made = await createdOn(deployment, disk);
    disk.cut(loss);
    const at = `after step ${fatal} (${fate}), ${loss} lost`;
    const after = await listed(at);
    const fresh = after.filter((id) => !before.includes(id));
    assert.deepEqual(
      after.filter((id) => before.includes(id)),
      before,
      `another backup is gone ${at}`,
    );
    assert.ok(fresh.length <= 1, at);
    if (fate !== 'dies' && disk.isHit) checkTold(made, fresh, at);
    for (const id of fresh) await target.remove(id);
    if (disk.isHit) continue;
    assert.ok(fatal > 15, `nothing was cut off in ${fatal} steps`);
    assert.ok(!(made instanceof Error) && made.outcome === 'verified', at);
    break;
  }
  await checkClean(deployment, target);
}

/** The disk is the same on both engines, so on one of them some steps will do: of every kind, in every turn. */
function strideOn({ name }: Engine): number {
  return name === 'postgres' ? times(5, 1) : 1;
}

/** Without a backup there is a reason; with one, it is not called verified unless its proof is there. */
function checkTold(made: CreateReport | Error, fresh: readonly string[], at: string): void {
  if (made instanceof Error) {
    assert.match(asFailure(made).code, /^(unavailable|configuration)$/, `${at}: ${made}`);
    assert.deepEqual(fresh, [], at);
    return;
  }
  const [target] = made.targets;
  if (target?.outcome !== 'verified') assert.ok(target?.reason, `nobody is told why ${at}`);
  if (made.outcome === 'verified') assert.deepEqual(fresh, [made.id], at);
}

async function createdOn(deployment: Deployment, disk: ForgetfulDisk): Promise<CreateReport | Error> {
  using _ = disk.install(deployment.stateDir);
  // Not before it is done: the disk goes when this returns.
  return await deployment.create().catch((error: unknown) => error as Error);
}

/** After the next run there is nothing left of those that died, but for what lies on the target until a day has passed. */
async function checkClean({ create, stateDir }: Deployment, target: Target): Promise<void> {
  assert.equal((await create()).outcome, 'verified', 'the next run');
  const names = (folder: string) => readdir(path.join(stateDir, folder)).catch(() => []);
  assert.deepEqual(await names('spool'), []);
  await target.sweep(Date.now() + 2 * DAY);
  const ids = new Set<string>();
  for await (const { id } of target.list()) ids.add(id);
  for (const name of await names('backups'))
    assert.ok(ids.has(name.split('.')[0] ?? ''), `${name} is part of nothing`);
}

/** A target that flips a byte of what it is given has no verified backup. */
export async function checkReadBack(engine: Engine): Promise<void> {
  await using deployment = await openDeployment(engine, PLAIN);
  const [place] = await deployment.desk.places('local');
  if (!place) assert.fail('there is no target');
  const forgetting: BackupPlace = { ...place, target: flipping(place.target) };
  const changes = { places: async () => [forgetting] };
  const report = await deployment.create({}, changes);
  assert.equal(report.outcome, 'failed');
  const outcomes = report.targets.map(({ outcome }) => outcome);
  assert.deepEqual(outcomes, ['damaged'], 'what was not read back is not verified');
  const trust = await deployment.desk.trust();
  for (const { verification } of await wholeBackups(place.target, trust))
    assert.notEqual(verification?.passed, true, 'nor does anything on the target say so');
}

function flipping(target: Target): Target {
  const open: Target['open'] = async function* (...given) {
    let isFirst = true;
    for await (const bytes of target.open(...given)) {
      const piece = Buffer.from(bytes);
      if (isFirst) piece[0] = (piece[0] ?? 0) ^ 1;
      isFirst = false;
      yield piece;
    }
  };
  return targetWith(target, { open });
}

/** Every key that a row of the backup needs is in it, also of those that were rotated in and out. */
export async function checkKeys(engine: Engine): Promise<void> {
  await using deployment = await openDeployment(engine);
  const { keyring } = deployment.rooms;
  await keyring.rotate();
  const report = await deployment.create();
  const { rows, keys, manifest } = await deployment.read(report.id ?? '');
  const needed = (rows.get('signing_keys') ?? []).filter(({ key_store }) => key_store === 'keyfile');
  assert.ok(needed.length > 1, 'keys that were rotated');
  for (const { kid } of needed) assert.ok(keys.has(`${kid}.pem`), `the key ${kid} is not in the backup`);
  assert.ok(keys.has('backup-signing.pem'), 'the key that signs backups');
  for (const kid of manifest.keys.needed) assert.ok(keys.has(`${kid}.pem`), `${kid} is needed`);
}
