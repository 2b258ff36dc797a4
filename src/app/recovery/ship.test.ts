import { describe, expect, it } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import { openTwoTargets, rmIn } from './two-targets.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const QUIET = { warned: [], called: 0 };
const CALLED = { warned: [expect.stringContaining('needs a backup')], called: 1 };

describe.skipIf(!here)('a server whose recovery log goes on (needs the sqlite engine)', () => {
  it('asks for no backup at any start while one target has a proven one and the other is unusable', async () => {
    await using installed = await openTwoTargets();
    const { outcome, targets } = await installed.backup();
    expect([outcome, ...targets.map((target) => target.outcome)]).toEqual(['failed', 'verified', 'failed']);
    for (let start = 0; start < 2; start++) {
      await installed.commit();
      expect(await installed.serve()).toEqual(QUIET);
    }
  });

  it('asks for none while a target has one that nobody wanted tried', async () => {
    await using installed = await openTwoTargets({ env: { AUTHSERVER_BACKUP_VERIFY: 'false' } });
    expect(await installed.backup({ verify: false })).toMatchObject({ outcome: 'failed' });
    expect(await installed.serve()).toEqual(QUIET);
  });

  it('asks for none because a later one has failed everywhere', async () => {
    await using installed = await openTwoTargets({ isAwayUsable: true });
    expect(await installed.backup()).toMatchObject({ outcome: 'verified' });
    expect(await installed.backup({ passes: false })).toMatchObject({ outcome: 'failed' });
    expect(await installed.serve()).toEqual(QUIET);
  });

  it('asks for one when the log has begun anew since', async () => {
    await using installed = await openTwoTargets();
    await installed.backup();
    await installed.endChain();
    await installed.commit();
    expect(await installed.serve()).toEqual(CALLED);
    await installed.backup();
    expect(await installed.serve()).toEqual(QUIET);
  });

  it('asks for one when there is none, or none that counts', async () => {
    await using installed = await openTwoTargets();
    expect(await installed.serve()).toEqual(CALLED);
    await installed.backup({ passes: false });
    expect(await installed.serve()).toEqual(CALLED);
    // Not tried, though it should have been.
    await installed.backup({ verify: false });
    expect(await installed.serve()).toEqual(CALLED);
    const { id } = await installed.backup();
    expect(await installed.serve()).toEqual(QUIET);
    rmIn(installed.near, (name) => name.startsWith(String(id)));
    expect(await installed.serve()).toEqual(CALLED);
  });
});
