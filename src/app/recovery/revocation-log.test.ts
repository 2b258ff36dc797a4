import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { describeEngines, engines, freshStorage } from '../../../test/setup/engines.ts';
import { openFreshStore, storageChoice } from '../../../test/setup/fresh-store.ts';
import { makeSigner } from '../../archive/archive.test-kit.ts';
import { Folder } from '../../archive/targets/folder.ts';
import { makeIds } from '../../kernel/ids.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { RevocationFeed } from '../../ops/recovery/revocation-feed.ts';
import { PACE } from '../../ops/recovery/shipping.ts';
import { NOW } from '../../store/conformance/rows.ts';
import { World } from '../../store/conformance/world.ts';
import { readRevocations } from './log-source.ts';
import { Logged } from './logged.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const PATIENCE = { timeout: 20_000, interval: 10 };

describe.skipIf(!here)('revocations in the log of changes (needs the sqlite engine)', () => {
  it('has those of every chain after a time', async () => {
    await using logged = await new Logged().open();
    const world = new World(logged.store);
    const first = await world.granted();
    await remove(logged, first.user.id);
    await logged.shipAll();
    const after = logged.now;
    const second = await world.granted();
    logged.now += 1000;
    await logged.store.families.revoke({ id: second.family.id, now: logged.now, reason: 'test' });
    await logged.shipAll();
    // Another chain, after commits that no log has seen.
    await logged.close();
    await logged.open({ logged: false });
    const third = await new World(logged.store).granted();
    await remove(logged, third.user.id);
    await logged.close();
    await logged.open();
    const fourth = await new World(logged.store).granted();
    await remove(logged, fourth.user.id);
    await logged.shipAll();

    const { rows, complete, until, faults } = await journal(logged, after);
    expect(rows.map(({ kind, subject, user_id }) => [kind, subject ?? user_id])).toEqual([
      ['family_revoked', second.family.id],
      ['user_removed', third.user.id],
      ['user_removed', fourth.user.id],
    ]);
    expect({ complete, until, faults }).toEqual({ complete: true, until: logged.now, faults: [] });
    const all = await journal(logged, 0);
    expect(all.rows.map(({ id }) => id).slice(1)).toEqual(rows.map(({ id }) => id));
    expect(all.rows).toHaveLength(4);
  });

  it('does not pass for complete when a part of the newest chain is missing', async () => {
    await using logged = await new Logged().open();
    for (let n = 0; n < 3; n++) {
      const { user } = await new World(logged.store).granted();
      await remove(logged, user.id);
      await logged.shipAll();
    }
    expect(await journal(logged, 0)).toMatchObject({ complete: true });
    rmSync(path.join(logged.shelfFolders[0] ?? '', logged.segments()[1] ?? ''));
    const { rows, complete, faults } = await journal(logged, 0);
    expect(complete).toBe(false);
    // What that part took away is not known, all else is.
    expect(rows).toHaveLength(2);
    expect(faults.length).toBeGreaterThan(0);
  });

  it('reads what a killed server had not shipped, where its spool is at hand', async () => {
    await using logged = await new Logged().open();
    const { user } = await new World(logged.store).granted();
    await logged.shipAll();
    await remove(logged, user.id);
    await logged.close();
    expect((await journal(logged, 0)).rows).toEqual([]);
    const { rows } = await journal(logged, 0, logged.spool);
    expect(rows).toMatchObject([{ kind: 'user_removed', user_id: user.id }]);
  });
});

describeEngines('the feed of revocations', (engine) => {
  it('ships what there was and what comes, and another server goes on with a chain of its own', async () => {
    await using fresh = await freshStorage(engine);
    const store = await openFreshStore(storageChoice(fresh));
    const folder = mkdtempSync(path.join(tmpdir(), 'authserver-feed-'));
    const signer = makeSigner();
    const shelf = new Folder({ folder: path.join(folder, 'shelf'), random: systemRandom });
    const clock = { now: () => NOW };
    const identity = {
      deploymentId: (await store.deployment.get({})).id,
      encryption: { kind: 'none' },
      signer,
      trust: [signer.publicKey],
    } as const;
    const feed = (interval = 5) =>
      new RevocationFeed({
        shelves: [{ name: 'one', shelf }],
        store,
        identity: async () => identity,
        clock,
        random: systemRandom,
        ids: makeIds(clock, systemRandom),
        log: silentLog,
        pace: { ...PACE, interval },
        events: { chainSeen: () => undefined, chainBroke: () => undefined, shipped: () => undefined },
      });
    const reading = { shelves: [{ name: 'one', shelf }], identities: {}, ...identity };
    const read = async () => {
      const scratch = mkdtempSync(path.join(folder, 'scratch-'));
      return readRevocations(reading, { after: 0, scratch });
    };
    const removed: string[] = [];
    const removeOne = async () => {
      const { user } = await new World(store).granted();
      await store.users.remove({ id: user.id, now: NOW });
      removed.push(user.id);
    };
    const arrives = () =>
      vi.waitFor(async () => {
        const { rows, complete } = await read();
        expect({ users: rows.map(({ user_id }) => user_id), complete }).toEqual({
          users: removed,
          complete: true,
        });
      }, PATIENCE);

    await removeOne();
    {
      await using _feed = feed();
      await arrives();
      await removeOne();
      await arrives();
    }
    await removeOne();
    {
      await using second = feed();
      await arrives();
      await removeOne();
      await arrives();
      expect(second.states()).toEqual([{ shelf: 'one', lag: 0, problem: undefined }]);
    }
    {
      await using _resting = feed(60_000);
      await arrives();
      await removeOne();
    }
    // An orderly stop leaves nothing behind, however long the pauses are.
    await arrives();
    const chains = new Set(readdirSync(path.join(folder, 'shelf')).map((name) => name.split('.')[1]));
    expect(chains.size).toBe(3);
    await store.close();
    rmSync(folder, { recursive: true });
  });
});

async function remove(logged: Logged, id: string): Promise<void> {
  logged.now += 1000;
  await logged.store.users.remove({ id, now: logged.now });
}

function journal(logged: Logged, after: number, spool?: string) {
  const scratch = mkdtempSync(path.join(logged.folder, 'scratch-'));
  return readRevocations({ ...logged.reading(), ...(spool !== undefined && { spool }) }, { after, scratch });
}
