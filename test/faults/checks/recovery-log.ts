// A log that was shipped in many segments takes a copy of the database to its very end, and one whose middle is another's does not.

import assert from 'node:assert/strict';
import { digestOf, Logged } from '../../../src/app/recovery/logged.test-kit.ts';

export async function checkRecoveryLog(): Promise<void> {
  await using logged = await new Logged({ seed: 5 }).open();
  await logged.live(2);
  const base = logged.base();
  for (let round = 0; round < 4; round++) {
    await logged.live(6);
    await logged.shipAll();
  }
  assert.ok(logged.segments().length > 2, 'several segments');
  const { replayed, digest } = await logged.restore(base, 'end');
  assert.deepEqual(replayed.faults, []);
  assert.equal(replayed.complete, true);
  assert.equal(digest, digestOf(logged.path), 'the end of the log is the live database');
}
