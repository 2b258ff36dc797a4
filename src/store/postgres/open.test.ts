import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { query } from '../../../test/setup/cluster.ts';
import { engines, freshStorage } from '../../../test/setup/engines.ts';
import { migrateSchema, openStore } from '../../app/open-store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { atOnce, World } from '../conformance/world.ts';
import type { Store } from '../store.ts';

const CONNECTIONS = 5;
const unavailable = { code: 'unavailable', retryAfter: 1 };

describe.skipIf(!engines.some((engine) => engine.name === 'postgres'))(
  'PostgreSQL (needs the postgres engine)',
  () => {
    let dsn: string;
    let store: Store;
    let remove: () => Promise<void>;

    beforeEach(async () => {
      const fresh = await freshStorage({ name: 'postgres' });
      if (fresh.driver !== 'postgres') throw new Error(`asked for postgres, got ${fresh.driver}`);
      ({ dsn, dispose: remove } = fresh);
      const postgres = { dsn, maxConnections: CONNECTIONS, connectTimeout: 1000, statementTimeout: 300 };
      const storage = { driver: 'postgres', postgres } as const;
      await migrateSchema(storage, { clock: systemClock, random: systemRandom });
      store = await openStore(storage, silentLog);
    });
    afterEach(async () => {
      await store.close();
      await remove();
    });

    const backends = async (): Promise<number[]> => {
      const rows = await query(
        dsn,
        `select pid from pg_stat_activity where application_name = 'authserver' and datname = current_database()`,
      );
      return rows.map((row) => Number(row['pid']));
    };

    it('gives up with `unavailable` on a server that accepts and never answers, and works when it answers again', async () => {
      const user = await new World(store).user();
      const stopped = await backends();
      expect(stopped.length).toBeGreaterThan(0);
      for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      try {
        await expect(store.health.ping({})).rejects.toMatchObject(unavailable);
      } finally {
        for (const pid of stopped) process.kill(pid, 'SIGCONT');
      }
      expect(await store.users.find({ id: user.id })).toEqual(user);
      expect(await store.health.ping({})).toEqual({ ok: true });
    });

    it('gives up with `unavailable` on a row that somebody holds, and works when they let go', async () => {
      const user = await new World(store).user();
      const holder = new Client({ connectionString: dsn });
      await holder.connect();
      await holder.query('begin');
      await holder.query('select * from users where id = $1 for update', [user.id]);
      const disable = () => store.users.setStatus({ id: user.id, status: 'disabled', now: 1 });
      await expect(disable()).rejects.toMatchObject(unavailable);
      await holder.end();
      expect(await disable()).toEqual({ outcome: 'set' });
    });

    it('goes on while another process migrates: plans made before are no obstacle', async () => {
      const world = new World(store);
      const granted = await world.granted();
      const find = () => store.families.find({ id: granted.family.id });
      await atOnce(4 * CONNECTIONS, find);
      await world.rotate(granted, { retry_window: 1000 });
      await query(dsn, 'alter table token_families add column later bigint');
      await query(dsn, 'alter table refresh_tokens add column later bigint');
      for (const found of await atOnce(4 * CONNECTIONS, find)) expect(found).toMatchObject(granted.family);
      const retries = await atOnce(4 * CONNECTIONS, () => world.rotate(granted, { retry_window: 1000 }));
      for (const answer of retries) expect(answer).toMatchObject({ outcome: 'retried' });
    });

    it('survives losing connections that nobody uses', async () => {
      const user = await new World(store).user();
      for (const pid of await backends()) await query(dsn, `select pg_terminate_backend(${pid})`);
      await sleep(50);
      expect(await store.users.find({ id: user.id })).toEqual(user);
    });
  },
);
