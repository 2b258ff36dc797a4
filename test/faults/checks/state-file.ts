// A kill or a power cut at any step of the writing of a state file leaves the old text or the new one.

import assert from 'node:assert/strict';
import { readState, writeState } from '../../../src/app/state-dir.ts';
import { ForgetfulDisk, LOSSES, type Loss } from '../forgetful-disk.ts';
import { makeFolders } from './scene.ts';

export async function checkStateFile(): Promise<void> {
  for (const loss of LOSSES) for (const before of [undefined, 'dep_old\n']) await cutOff(loss, before);
}

async function cutOff(loss: Loss, before: string | undefined): Promise<void> {
  for (let fatal = 0; ; fatal++) {
    await using folders = await makeFolders();
    if (before !== undefined) writeState(folders.root, 'deployment', before);
    const forgetful = new ForgetfulDisk(fatal, folders.trash);
    const outcome = write(folders.root, forgetful);
    forgetful.cut(loss);
    const found = readState(folders.root, 'deployment');
    const place = `after step ${fatal}, ${loss} lost: ${JSON.stringify(found)}`;
    assert.ok(found === 'dep_new\n' || (outcome === 'cut off' && found === before), place);
    writeState(folders.root, 'deployment', 'dep_next\n');
    assert.equal(readState(folders.root, 'deployment'), 'dep_next\n', place);
    if (outcome === 'done') return assert.ok(fatal > 1, 'nothing was cut off');
  }
}

function write(folder: string, forgetful: ForgetfulDisk): 'done' | 'cut off' {
  using _ = forgetful.install(folder);
  try {
    writeState(folder, 'deployment', 'dep_new\n');
    return 'done';
  } catch {
    return 'cut off';
  }
}
