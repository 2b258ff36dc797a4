import { copyFile, writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engines, type FreshStorage, freshStorage } from '../../../test/setup/engines.ts';
import { migrateSchema, openStore, type StorageChoice } from '../../app/open-store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { type Log, silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { userRow } from '../conformance/rows.ts';

let fresh: FreshStorage;
let path: string;
const storage = (at = path, wal = true): StorageChoice => ({ driver: 'sqlite', sqlite: { path: at, wal } });
const migrate = () => migrateSchema(storage(), { clock: systemClock, random: systemRandom });

beforeEach(async () => {
  fresh = await freshStorage({ name: 'sqlite' });
  if (fresh.driver !== 'sqlite') throw new Error(`asked for sqlite, got ${fresh.driver}`);
  path = fresh.path;
});
afterEach(() => fresh.dispose());

const here = engines.some((engine) => engine.name === 'sqlite');

describe.skipIf(!here)('opening a SQLite file (needs the sqlite engine)', () => {
  it('fails with `unavailable` when there is none', async () => {
    await expect(openStore(storage(), silentLog)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('refuses requests, logs rarely and still closes while the writer thread cannot start', async () => {
    await writeFile(path, 'no database at all, but long enough to look like one '.repeat(20));
    const errors: unknown[] = [];
    const log: Log = { ...silentLog, error: (fields) => errors.push(fields) };
    const store = await openStore(storage(), log);
    const health = () => store.health.ping({});
    await expect(health()).rejects.toMatchObject({ code: 'unavailable' });
    await sleep(1000);
    const asked = performance.now();
    await expect(health()).rejects.toMatchObject({ code: 'unavailable' });
    expect(performance.now() - asked).toBeLessThan(500);
    await expect(store.users.find({ id: 'usr' })).rejects.toMatchObject({ code: 'unavailable' });
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.length).toBeLessThan(6);
    await store.close();
  });

  it('writes as soon as the writer thread can start', async () => {
    await migrateSchema(storage(path, false), { clock: systemClock, random: systemRandom });
    const holder = new DatabaseSync(path);
    holder.exec('begin exclusive');
    const store = await openStore(storage(), silentLog);
    await expect(store.health.ping({})).rejects.toMatchObject({ code: 'unavailable' });
    holder.close();
    const written = () => store.health.ping({}).catch(() => undefined);
    await expect.poll(written, { timeout: 10_000 }).toEqual({ ok: true });
    await store.close();
  });

  it('waits for a lock that is soon let go of, to read or to write, and does not stop the event loop', async () => {
    await migrateSchema(storage(path, false), { clock: systemClock, random: systemRandom });
    const store = await openStore(storage(path, false), silentLog);
    await store.health.ping({});
    const holder = new DatabaseSync(path);
    holder.exec('begin exclusive');
    setTimeout(() => holder.close(), 200);
    const [deployment, health] = await Promise.all([store.deployment.get({}), store.health.ping({})]);
    expect(deployment.id).toMatch(/^dep_/);
    expect(health).toEqual({ ok: true });
    await store.close();
  });

  it('leaves every commit in the file itself when it closes', async () => {
    await migrate();
    const store = await openStore(storage(), silentLog);
    const user = userRow();
    await store.users.create({ user, password_hash: null });
    expect(await store.users.find({ id: user.id })).toEqual(user);
    await store.close();
    const copy = `${path}.copy`;
    await copyFile(path, copy);
    const opened = await openStore(storage(copy), silentLog);
    expect(await opened.users.find({ id: user.id })).toEqual(user);
    await opened.close();
  });
});
