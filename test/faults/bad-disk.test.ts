// A disk that is full from the n-th step on, or fails at it: whoever asked is told, nothing is left half done, and the next run
// succeeds.

import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { Files } from '../../src/app/restore/files.ts';
import { settleRestore } from '../../src/app/restore/finish.ts';
import { asFailure } from '../../src/kernel/errors.ts';
import { Installation } from '../ops/restore-kit.ts';
import { describeEngines } from '../setup/engines.ts';
import { isLong } from '../setup/long.ts';
import { checkCreateOnBadDisk } from './checks/create.ts';
import { checkPruneOnBadDisk } from './checks/prune.ts';
import { checkSwapOnBadDisk } from './checks/restore-swap.ts';
import { makeFolders } from './checks/scene.ts';
import { ForgetfulDisk } from './forgetful-disk.ts';

const FATES = ['full', 'broken'] as const;
const PATIENCE = 240_000;
/** Every so many steps of a whole restore; the swap within it has its turn at each of them. */
const STRIDE = isLong ? 1 : 17;

describe('a disk that fails, at every step', () => {
  test('of a prune', { timeout: PATIENCE }, checkPruneOnBadDisk);
  test('of a swap of files', { timeout: PATIENCE }, checkSwapOnBadDisk);
});

describeEngines('a disk that fails', (engine) => {
  test('at every step of a backup', { timeout: PATIENCE }, () => checkCreateOnBadDisk(engine));

  test('at steps of a whole restore', { timeout: PATIENCE }, async () => {
    await using folders = await makeFolders();
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    await here.writeKey('k1.pem', 'then');
    const backup = await here.backup();
    let failed = 0;
    for (let fatal = 0, isDone = false; !isDone; fatal += STRIDE) {
      await here.addUser(`since_${fatal}`);
      await here.writeKey('k1.pem', 'now');
      const before = await here.users();
      const fate = FATES[fatal % 2] ?? 'full';
      const place = `step ${fatal}, ${fate}`;
      const disk = new ForgetfulDisk(fatal, folders.trash, { fate });
      const outcome: unknown = await here
        .restore({ backup }, { files: new Files(disk.disk) })
        .catch((error: unknown) => error);
      isDone = !disk.isHit;
      if (outcome instanceof Error) {
        failed += 1;
        expect(asFailure(outcome), `${place}: ${outcome}`).toMatchObject({
          code: expect.stringMatching(/^(unavailable|configuration)$/),
          hint: expect.any(String),
        });
      }
      await settleRestore(here.config);
      const after = await here.users();
      const isNew = Object.keys(after).length === 1;
      expect(after, place).toEqual(isNew ? { ada: 'active' } : before);
      expect(await readFile(here.keyFile('k1.pem'), 'utf8'), place).toBe(isNew ? 'then' : 'now');
      const left = (await here.files()).filter((name) => /restoring|restore\.json|\.tmp$/.test(name));
      expect(left, place).toEqual([]);
    }
    expect(failed).toBeGreaterThan(2);
  });
});
