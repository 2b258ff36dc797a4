// A kill or a power cut at any step of the keeping of a private key leaves the old text, the new one, or none where there was none.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { silentLog } from '../../../src/kernel/log.ts';
import { openKeyfile } from '../../../src/keys/stores/keyfile.ts';
import { ForgetfulDisk, LOSSES, type Loss } from '../forgetful-disk.ts';
import { makeFolders } from './scene.ts';

const OLD = 'the text of the key of before\n';
const NEW = 'the text of the key that comes\n';

export async function checkKeyFile(): Promise<void> {
  for (const loss of LOSSES) for (const before of [undefined, OLD]) await cutOff(loss, before);
}

async function cutOff(loss: Loss, before: string | undefined): Promise<void> {
  for (let fatal = 0; ; fatal++) {
    await using folders = await makeFolders();
    const folder = path.join(folders.root, 'keys');
    let now = Date.now();
    const parts = { folder, clock: { now: () => now }, log: silentLog };
    if (before !== undefined) await (await openKeyfile(parts)).save('k', before);
    const forgetful = new ForgetfulDisk(fatal, folders.trash);
    const outcome = await openKeyfile({ ...parts, disk: forgetful.disk })
      .then((keys) => keys.save('k', NEW))
      .then(
        () => 'done',
        () => 'cut off',
      );
    forgetful.cut(loss);
    now += 24 * 60 * 60 * 1000;
    const again = await openKeyfile(parts);
    const found = await again.load('k');
    const place = `after step ${fatal}, ${loss} lost: ${JSON.stringify(found)}`;
    assert.ok(found === NEW || (outcome === 'cut off' && found === before), place);
    assert.deepEqual(await again.list(), found === undefined ? [] : ['k'], place);
    const left = (await readdir(folder)).filter((name) => name !== 'k.pem');
    assert.deepEqual(left, [], place);
    if (outcome === 'done') return assert.ok(fatal > 4, 'nothing was cut off');
  }
}
