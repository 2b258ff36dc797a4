// A kill or a power cut at any step of a put into a folder leaves nothing that is listed and not whole.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { Folder } from '../../../src/archive/targets/folder.ts';
import { idOf, listed, publish, signer } from '../../../src/archive/targets/publish.test-kit.ts';
import { makeTarget, type Target } from '../../../src/archive/targets/target.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import { ForgetfulDisk, LOSSES, type Loss } from '../forgetful-disk.ts';
import { makeFolders, wholeBackups } from './scene.ts';

const DAY = 24 * 60 * 60 * 1000;
const trust = [signer.publicKey];

export async function checkFolderPut(): Promise<void> {
  for (const loss of LOSSES) await cutOff(loss);
}

async function cutOff(loss: Loss): Promise<void> {
  await using folders = await makeFolders();
  const open = (forgetful?: ForgetfulDisk): Target =>
    makeTarget(
      'local',
      new Folder({
        folder: folders.root,
        random: systemRandom,
        ...(forgetful && { disk: forgetful.disk }),
      }),
    );
  await publish(open(), 1);
  let reached = 0;
  for (let fatal = 0; ; fatal++) {
    const forgetful = new ForgetfulDisk(fatal, folders.trash);
    const outcome = await publish(open(forgetful), 2 + fatal).then(
      () => 'done',
      () => 'cut off',
    );
    forgetful.cut(loss);
    const place = `after step ${fatal}, ${loss} lost`;
    const found = (await wholeBackups(open(), trust, place)).map(({ id }) => id);
    const isThere = found.includes(idOf(2 + fatal));
    assert.ok(isThere || outcome === 'cut off', `a backup that was made is gone ${place}`);
    assert.equal(found.length, isThere ? 2 : 1, place);
    if (isThere) reached += 1;
    await open().remove(idOf(2 + fatal));
    if (outcome === 'done') break;
    assert.ok(fatal < 100, 'it never comes to its end');
  }
  assert.ok(reached > 0 && reached < 5, `the record comes last: ${reached} of the cuts came after it`);
  const left = (await readdir(folders.root)).length;
  assert.ok(left > 2 || loss === 'names', 'nothing was cut off');
  assert.deepEqual(await open().sweep(Date.now()), []);
  await open().sweep(Date.now() + 2 * DAY);
  assert.equal((await readdir(folders.root)).length, 2, 'a day later nothing of it is left');
  assert.deepEqual(await listed(open()), [idOf(1)]);
}
