// Migrating beside others: who does it, what happens to those who read and write meanwhile, and to a runner that sleeps.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withSchema } from '../../src/app/open-store.ts';
import { type Log, type LogFields, silentLog } from '../../src/kernel/log.ts';
import { planUpgrade } from '../../src/ops/migrate.ts';
import { timeline } from '../../src/store/migrations/timeline.ts';
import { describeEngines, engines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';
import { ask, loadFixture, migrate, openSession, type Session } from './database.ts';
import { addNickname, fillNickname, indexNickname, longTimeline, step } from './steps.ts';

interface Line extends LogFields {
  readonly message: string;
}

function listening(): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  const keep = (fields: LogFields, message: string) => void lines.push({ ...fields, message });
  return { log: { ...silentLog, info: keep, warn: keep }, lines };
}

describeEngines('steps that no release has yet', (engine) => {
  it('fill rows in batches and build indexes, once', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 1);
    expect(await migrate(fresh, { timeline: longTimeline })).toEqual(longTimeline.slice(1));
    const users = await ask(fresh, 'select username, nickname from users order by id');
    expect(users).toEqual(
      [0, 1, 2].map((i) => ({ username: `users-username-${i}`, nickname: `users-username-${i}!` })),
    );
    expect(await migrate(fresh, { timeline: longTimeline })).toEqual([]);
  });

  it('go on with a fill where a killed run left it', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 1);
    await migrate(fresh, { timeline: [...timeline, addNickname] });
    await ask(fresh, "update users set nickname = 'kept' where id = 'users-id-0'");
    await migrate(fresh, { timeline: [...timeline, addNickname, fillNickname] });
    const users = await ask(fresh, 'select nickname from users order by id');
    expect(users.map(({ nickname }) => nickname)).toEqual(['kept', 'users-username-1!', 'users-username-2!']);
  });

  it('are planned with what they touch, whom they stop and how long they may take', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 1);
    if (engine.name === 'postgres') await ask(fresh, 'analyze');
    const { steps, holds_data } = await withSchema(storageChoice(fresh), {}, (db) =>
      planUpgrade(db, longTimeline),
    );
    expect(holds_data).toBe(true);
    const exact = engine.name === 'sqlite';
    const users = { table: 'users', change: 'changed', rows: 3, exact };
    const [widen, fill, index] = steps.slice(-3);
    const stopped = exact ? 'throughout' : undefined;
    expect(widen).toMatchObject({ version: 9001, tables: [users], blocks_writers: stopped ?? 'briefly' });
    expect(fill).toMatchObject({ release: '9.0.0', tables: [users], blocks_writers: stopped ?? 'no' });
    expect(index).toMatchObject({ tables: [users], blocks_writers: stopped ?? 'no' });
    expect(steps[0]?.tables).toContainEqual({ table: 'leases', change: 'new', rows: 0, exact: true });
    expect(steps[0]?.tables).toContainEqual({ table: 'clients', change: 'references', rows: 3, exact });
    for (const { estimated_ms } of steps) expect(estimated_ms).toBeGreaterThan(0);
  });

  it('are a set: one that comes with a lower number than others that were taken is taken all the same', async () => {
    await using fresh = await freshStorage(engine);
    await migrate(fresh, { timeline: [...timeline, addNickname, indexNickname] });
    expect(await migrate(fresh, { timeline: longTimeline })).toEqual([fillNickname]);
    expect(await migrate(fresh, { timeline: longTimeline })).toEqual([]);
  });

  it('must not mix what runs in one transaction with what must not', async () => {
    await using fresh = await freshStorage(engine);
    const mixed = step(9009, ['create table one (id text primary key)', 'create index two on users (email)']);
    await expect(migrate(fresh, { timeline: [...timeline, mixed] })).rejects.toThrow(/9009 .* mixes/);
  });

  it('that take something away wait for the release that lived without it, unless there is nothing to lose', async () => {
    const cut = step(9004, ['alter table users drop column nickname'], { needs: 9001 });
    const last = [...timeline, addNickname, cut];
    await using used = await freshStorage(engine);
    await loadFixture(used, 1);
    await expect(migrate(used, { timeline: last })).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('Release 9.0.0 must not be left out: schema step 9004 (test-9004)'),
      hint: expect.stringContaining('Install authserver 9.0.0, run `authserver migrate`'),
    });
    expect(await ask(used, 'select version from schema_migrations')).toHaveLength(1);
    await migrate(used, { timeline: [...timeline, addNickname] });
    expect(await migrate(used, { timeline: last })).toEqual([cut]);
    await using empty = await freshStorage(engine);
    expect(await migrate(empty, { timeline: last })).toEqual(last);
  });
});

const here = engines.some(({ name }) => name === 'postgres');

describe.skipIf(!here)('beside others (needs the postgres engine)', () => {
  const quick = { leaseTerm: 200, lockTimeout: 150, firstPause: 50 };
  const next = [...timeline, addNickname];

  async function prepared(): Promise<FreshStorage> {
    const fresh = await freshStorage({ name: 'postgres' });
    await loadFixture(fresh, 1);
    await migrate(fresh);
    return fresh;
  }

  /** A session such as a dump: it reads, and keeps the lock until it ends. */
  async function reader(fresh: FreshStorage): Promise<Session> {
    const session = await openSession(fresh);
    await session.script('begin; lock table users in access share mode');
    return session;
  }

  it('a dump makes the migration wait, and nobody else; who is in the way is named', async () => {
    await using fresh = await prepared();
    await using visitor = await openSession(fresh);
    const dump = await reader(fresh);
    const [holder] = await dump.all('select pg_backend_pid() as pid');
    const { log, lines } = listening();
    let done = false;
    const migration = migrate(fresh, { timeline: next, timing: quick, log }).finally(() => {
      done = true;
    });
    let longest = 0;
    const until = performance.now() + 900;
    while (performance.now() < until) {
      const asked = performance.now();
      await visitor.all('select count(*) from users');
      longest = Math.max(longest, performance.now() - asked);
      await sleep(5);
    }
    expect(done).toBe(false);
    await dump[Symbol.asyncDispose]();
    expect(await migration).toEqual([addNickname]);
    const retries = lines.filter(({ message }) => message.includes('trying again'));
    expect(retries.length).toBeGreaterThan(1);
    expect(JSON.stringify(retries[0]?.['held_by'])).toContain(`process ${holder?.['pid']} (`);
    expect(Number(retries[1]?.['again_in_ms'])).toBeGreaterThan(Number(retries[0]?.['again_in_ms']));
    // The lock timeout bounds it; without one it would be as long as the dump.
    expect(longest).toBeLessThan(600);
  });

  it('a lock that is never let go of ends it, with the holder and what to do', async () => {
    await using fresh = await prepared();
    await using dump = await reader(fresh);
    const [holder] = await dump.all('select pg_backend_pid() as pid');
    const timing = { ...quick, lockPatience: 300 };
    await expect(migrate(fresh, { timeline: next, timing })).rejects.toMatchObject({
      code: 'unavailable',
      detail: expect.stringContaining(`process ${holder?.['pid']}`),
      hint: expect.stringContaining('pg_terminate_backend'),
    });
    expect(await ask(fresh, 'select * from schema_lease')).toEqual([]);
  });

  it('an index is built while others write', async () => {
    await using fresh = await prepared();
    await migrate(fresh, { timeline: next });
    await using first = await openSession(fresh);
    await first.script("begin; update users set nickname = 'a' where id = 'users-id-0'");
    const migration = migrate(fresh, { timeline: [...next, indexNickname], timing: quick });
    await expect
      .poll(() =>
        ask(
          fresh,
          "select 1 from pg_stat_activity where query like 'create index concurrently users_nickname%' and wait_event_type = 'Lock'",
        ),
      )
      .toHaveLength(1);
    await using second = await openSession(fresh);
    await second.script("set lock_timeout = 1000; update users set nickname = 'b' where id = 'users-id-1'");
    await first.script('commit');
    expect(await migration).toEqual([indexNickname]);
  });

  it('of two that are started at once one works, and the other waits, says for whom, and finds nothing to do', async () => {
    await using fresh = await prepared();
    const dump = await reader(fresh);
    const timing = { ...quick, lockTimeout: 5000 };
    const { log, lines } = listening();
    const first = migrate(fresh, { timeline: next, timing });
    await expect.poll(() => ask(fresh, 'select * from schema_lease')).toHaveLength(1);
    const [lease] = await ask(fresh, 'select holder from schema_lease');
    const second = migrate(fresh, { timeline: next, timing, log });
    // Longer than the lease would last if nobody renewed it.
    await sleep(4 * quick.leaseTerm);
    expect(lines).toEqual([
      { holder: lease?.['holder'], message: 'another process migrates this database; waiting for it' },
    ]);
    await dump[Symbol.asyncDispose]();
    expect(await first).toEqual([addNickname]);
    expect(await second).toEqual([]);
  });

  it('a runner that died is waited for no longer than its lease lasts', async () => {
    await using fresh = await prepared();
    await ask(
      fresh,
      "insert into schema_lease values ('migrate', 'process 1 on a machine that is gone', (extract(epoch from clock_timestamp()) * 1000)::bigint + 400)",
    );
    const started = performance.now();
    expect(await migrate(fresh, { timeline: next, timing: quick })).toEqual([addNickname]);
    const waited = performance.now() - started;
    expect(waited).toBeGreaterThan(250);
    expect(waited).toBeLessThan(3000);
  });

  it('a runner that slept while another took over commits nothing', async () => {
    await using fresh = await prepared();
    const dump = await reader(fresh);
    const timing = { ...quick, lockTimeout: 5000 };
    const migration = migrate(fresh, { timeline: next, timing });
    migration.catch(() => undefined);
    await expect.poll(() => ask(fresh, 'select * from schema_lease')).toHaveLength(1);
    await ask(fresh, "update schema_lease set holder = 'another'");
    await dump[Symbol.asyncDispose]();
    await expect(migration).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('Another process has taken over'),
    });
    expect(await ask(fresh, "select 1 from pg_attribute where attname = 'nickname'")).toEqual([]);
    expect(await ask(fresh, 'select holder from schema_lease')).toEqual([{ holder: 'another' }]);
  });

  it('a step may take longer than the statements of the role or the database may', async () => {
    await using fresh = await prepared();
    const [here] = await ask(fresh, 'select current_database() as name');
    await ask(fresh, `alter database ${here?.['name']} set statement_timeout = '300ms'`);
    const slow = step(9005, ['update users set email = email where (select true from pg_sleep(0.6))']);
    expect(await migrate(fresh, { timeline: [...timeline, slow], timing: quick })).toEqual([slow]);
  });

  it('stops waiting when it is told to', async () => {
    await using fresh = await prepared();
    await using _dump = await reader(fresh);
    const stop = AbortSignal.timeout(300);
    await expect(migrate(fresh, { timeline: next, timing: quick, stop })).rejects.toMatchObject({
      code: 'interrupted',
    });
    expect(await ask(fresh, 'select * from schema_lease')).toEqual([]);
  });
});
