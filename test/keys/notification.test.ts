// What one server changes about keys, the others see at once: they are told by the database. Where the news is lost, they
// have read the keys anew by the time that they listen again.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore } from '../../src/app/open-store.ts';
import { silentLog } from '../../src/kernel/log.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import type { Store } from '../../src/store/store.ts';
import { query } from '../setup/cluster.ts';
import { engines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';
import { PRIVATE_HALVES, Rig } from './rig.ts';

/** How soon, ms, all servers are to know. */
const AT_ONCE = 200;
const PATIENCE = 5000;

describe.skipIf(!engines.some(({ name }) => name === 'postgres'))(
  'servers on one PostgreSQL (needs the postgres engine)',
  () => {
    let storage: FreshStorage;
    let rig: Rig;
    let elsewhere: Store;
    /** Of the server that changes keys, and of the one that has to hear of it. */
    let here: Keyring;
    let there: Keyring;
    let heard: number;
    let watching: Disposable;

    beforeEach(async () => {
      storage = await freshStorage({ name: 'postgres' });
      rig = await Rig.on(await openFreshStore(storageChoice(storage)));
      elsewhere = await openStore(storageChoice(storage), silentLog);
      const halves = PRIVATE_HALVES.find(({ name }) => name === 'database')!;
      here = await rig.open({ halves });
      there = await rig.open({ halves, keys: elsewhere.keys });
      heard = 0;
      watching = elsewhere.watch('signing_keys', () => {
        heard += 1;
        void there.reload();
      });
      // It calls once when it has begun to listen.
      await until(() => heard === 1);
    });
    afterEach(async () => {
      watching[Symbol.dispose]();
      await elsewhere.close();
      await rig[Symbol.asyncDispose]();
      await storage.dispose();
    });

    const ask = (text: string) => query(storage.driver === 'postgres' ? storage.dsn : '', text);
    const knows = (kid: string, state: string) =>
      there.state().keys.some((key) => key.kid === kid && key.state === state);
    const listeners = async () => {
      const rows = await ask(
        `select pid from pg_stat_activity where application_name = 'authserver listener' and datname = current_database()`,
      );
      return rows.map((row) => Number(row['pid']));
    };

    // Asked again where the machine itself was away for that long.
    test('see each step of a rotation within 200 ms', { retry: 2 }, async () => {
      const former = (await here.sign('at+jwt', {})).kid;
      const { kid, activates_at } = await here.rotate();
      await until(() => knows(kid, 'pending'), AT_ONCE);
      rig.clock.moveTo(activates_at);
      await here.tick();
      await until(() => knows(kid, 'active') && knows(former, 'retiring'), AT_ONCE);
      expect((await there.sign('at+jwt', {})).kid).toBe(kid);
      await here.management.compromise(kid);
      await until(() => knows(kid, 'compromised'), AT_ONCE);
      expect((await there.sign('at+jwt', {})).kid).not.toBe(kid);
    });

    test('hear nothing of what was undone, and nothing of what is none of theirs', async () => {
      await elsewhere.settings.put({
        setting: { name: 'a', value: 'b', updated_at: 0 },
        if_absent: false,
      });
      const former = (await here.sign('at+jwt', {})).kid;
      const [successor] = await rig.store.keys.list({});
      const times = { now: 0, retires_at: 0, margin: 0 };
      // The successor is the active key itself: the unit of work is undone.
      const undone = { former, becomes: 'retiring', successor: successor!, ...times } as const;
      expect(await rig.store.keys.takeOver(undone)).toEqual({ outcome: 'changed' });
      await sleep(AT_ONCE);
      expect(heard).toBe(1);
    });

    test('make up for news that was lost with the connection', async () => {
      for (let cut = 1; cut <= 3; cut++) {
        const [pid] = await listeners();
        await ask(`select pg_terminate_backend(${pid})`);
        // While nobody listens.
        const { kid } = await here.rotate();
        await until(() => knows(kid, 'pending'));
        await until(async () => (await listeners()).length === 1);
        await here.management.retire(kid);
        await until(() => knows(kid, 'retired'), PATIENCE);
      }
    });

    test('leave no connection behind when they stop', async () => {
      await elsewhere.close();
      await until(async () => (await listeners()).length === 0);
    });
  },
);

async function until(holds: () => boolean | Promise<boolean>, patience = PATIENCE): Promise<void> {
  const deadline = performance.now() + patience;
  while (!(await holds())) {
    if (performance.now() > deadline) expect.unreachable(`not within ${patience} ms`);
    await sleep(5);
  }
}
