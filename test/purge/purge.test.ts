// A purge as an operator sees it: what it says, how it ends, what it leaves alone.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { verifyChain } from '../../src/audit/chain.ts';
import { Failure } from '../../src/kernel/errors.ts';
import { LAST_RUN } from '../../src/ops/purge.ts';
import type { PurgeProgress } from '../../src/ops/purge-report.ts';
import { purgeTargets } from '../../src/ops/purge-targets.ts';
import { issuanceRow, NOW } from '../../src/store/conformance/rows.ts';
import type { Store } from '../../src/store/store.ts';
import { query } from '../setup/cluster.ts';
import { describeEngines, engines } from '../setup/engines.ts';
import { DAY, MINUTE, type Stage, stage } from './fixture.ts';

/** Tokens that have run out, one a second. */
async function fill({ store }: Stage, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, n) => issuanceRow({ expires_at: NOW - DAY + n * 1000 }));
  await Promise.all(rows.map((issuance) => store.issuances.record({ issuance })));
}

describeEngines('a purge', (engine) => {
  test('runs through all targets in order, logs each, and is an event of the audit trail', async () => {
    await using on = await stage(engine);
    await fill(on, 30);
    const report = await on.purge();
    const names = purgeTargets.map(({ name }) => name);
    expect(report).toMatchObject({ outcome: 'completed', dry_run: false, rows: 30, held_by: null });
    expect(report.targets.map(({ target }) => target)).toEqual(names);
    expect(report.targets.map(({ outcome }) => outcome)).toEqual(names.map(() => 'completed'));
    expect(on.lines.map(([level, message, { table }]) => [level, message, table])).toEqual(
      names.map((name) => ['info', 'purge completed', name]),
    );
    expect(on.lines.find(([, , { table }]) => table === 'machine-tokens')?.[2]).toEqual({
      ...{ table: 'machine-tokens', rows: 30, duration: expect.any(Number), oldest_left: null },
    });
    const [event] = await on.store.audit.list({ after: 0, limit: 10 });
    expect(event).toMatchObject({ action: 'purge.completed', actor: 'admin:operator' });
    expect(JSON.parse(event?.detail_json ?? '')).toEqual({
      outcome: 'completed',
      rows: 30,
      targets: [{ target: 'machine-tokens', outcome: 'completed', rows: 30 }],
    });
    expect((await on.store.settings.get({ name: LAST_RUN }))?.value).toBe(String(on.clock.now()));
  });

  test('that nobody asked for logs at debug what had nothing to do', async () => {
    await using on = await stage(engine);
    await fill(on, 3);
    await on.purge({ quiet: true });
    const seen = on.lines.map(([level, , { table }]) => [level, table]);
    const loud = (name: string) => (name === 'machine-tokens' ? 'info' : 'debug');
    expect(seen).toEqual(purgeTargets.map(({ name }) => [loud(name), name]));
  });

  test('of some targets touches no other, and does not count as a purge of all', async () => {
    await using on = await stage(engine);
    await fill(on, 5);
    await on.sql(`insert into assertion_jtis values ('old', 1)`);
    const report = await on.purge({ only: ['assertion-jti'] });
    expect(report.targets).toMatchObject([{ target: 'assertion-jti', rows: 1 }]);
    expect(await on.store.settings.get({ name: LAST_RUN })).toBeUndefined();
    expect((await on.purge({ only: ['issuances'] })).targets).toMatchObject([
      { target: 'jti', rows: 0 },
      { target: 'machine-tokens', rows: 5 },
    ]);
  });

  test('refuses an unknown target by its name, with the list and what was probably meant', async () => {
    await using on = await stage(engine);
    const refused = on.purge({ only: ['jti', 'refresh-token'] });
    await expect(refused).rejects.toMatchObject({
      code: 'invalid_input',
      message: 'There is no purge target "refresh-token".',
      hint: expect.stringMatching(
        /^Did you mean refresh-tokens\? Targets: abandoned-clients, assertion-jti,/,
      ),
    });
  });

  test('in a dry run takes nothing, writes nothing, and says how many rows go and how many stay', async () => {
    await using on = await stage(engine);
    await fill(on, 2500);
    await on.world.granted();
    on.clock.time += 8 * DAY;
    const { targets, ...report } = await on.purge({ dry_run: true });
    expect(report).toMatchObject({ outcome: 'completed', dry_run: true, rows: 2501 });
    const of = (name: string) => targets.find(({ target }) => target === name);
    expect(of('machine-tokens')).toMatchObject({ rows: 2500, oldest_left: NOW - DAY });
    expect(of('refresh-tokens')).toMatchObject({ rows: 0, kept: 1 });
    expect(await on.store.audit.list({ after: 0, limit: 10 })).toEqual([]);
    expect((await on.purge()).rows).toBe(2501);
  });

  test('in a dry run without enough time says at least how many', async () => {
    await using on = await stage(engine);
    await fill(on, 2500);
    const parts = { clock: { now: () => (on.clock.time += 1) } };
    const report = await on.purge({ dry_run: true, timeout: 1 }, { parts });
    const machines = report.targets.find(({ target }) => target === 'machine-tokens');
    expect(report.outcome).toBe('out_of_time');
    expect(machines).toMatchObject({ outcome: 'stopped', rows: 1000 });
  });

  test('stops after the step in hand when it is told to, and the next one goes on', async () => {
    await using on = await stage(engine);
    await fill(on, 500);
    const stop = new AbortController();
    const progress = ({ target, rows }: PurgeProgress) => {
      if (target === 'machine-tokens' && rows > 0) stop.abort();
    };
    const report = await on.purge({}, { signal: stop.signal, progress });
    const outcomes = Object.fromEntries(report.targets.map(({ target, outcome }) => [target, outcome]));
    expect(report.outcome).toBe('stopped');
    expect(outcomes).toMatchObject({ jti: 'completed', 'machine-tokens': 'stopped', sessions: 'untouched' });
    expect(report.rows).toBeGreaterThan(0);
    expect(report.rows).toBeLessThan(500);
    const cut = report.targets.find(({ target }) => target === 'machine-tokens');
    expect(cut?.oldest_left).toBe(NOW - DAY + report.rows * 1000);
    expect(on.lines.at(-1)?.slice(0, 2)).toEqual(['warn', 'purge interrupted']);
    expect(await on.store.settings.get({ name: LAST_RUN })).toBeUndefined();
    expect((await on.purge()).rows).toBe(500 - report.rows);
  });

  test('ends when its time is up; without a limit it does not', async () => {
    await using on = await stage(engine);
    await fill(on, 500);
    const parts = { clock: { now: () => (on.clock.time += 100) } };
    const report = await on.purge({ timeout: 3000 }, { parts });
    expect(report.outcome).toBe('out_of_time');
    expect(report.targets.at(-1)?.outcome).toBe('untouched');
    expect((await on.purge({ timeout: 0 }, { parts })).outcome).toBe('completed');
  });

  test('goes on after a target that fails, and says which and why', async () => {
    await using on = await stage(engine);
    await fill(on, 5);
    const purge: Store['purge'] = {
      ...on.store.purge,
      dpop_nonces: () => Promise.reject(new Failure('unavailable', 'Down.', { detail: 'no such disk' })),
    };
    const report = await on.purge({}, { parts: { store: { ...on.store, purge } } });
    expect(report).toMatchObject({ outcome: 'failed', rows: 5 });
    const failed = report.targets.filter(({ outcome }) => outcome !== 'completed');
    expect(failed).toMatchObject([{ target: 'dpop-nonces', outcome: 'failed', reason: 'no such disk' }]);
    expect(on.lines.filter(([level]) => level === 'error')).toMatchObject([
      ['error', 'purge failed', { table: 'dpop-nonces', error: 'no such disk' }],
    ]);
    expect(await on.store.settings.get({ name: LAST_RUN })).toBeUndefined();
  });

  test('does nothing while another runs, and says who and since when', async () => {
    await using on = await stage(engine);
    await fill(on, 5);
    const lease = {
      ...{ name: 'purge', holder: 'host-1, process 7, run_1' },
      ...{ acquired_at: NOW - MINUTE, held_until: NOW + MINUTE },
    };
    await on.store.leases.acquire({ lease });
    expect(await on.purge()).toMatchObject({
      ...{ outcome: 'held', rows: 0, targets: [] },
      held_by: { runner: 'host-1, process 7, run_1', since: NOW - MINUTE },
    });
    expect((await on.purge({ dry_run: true })).rows).toBe(5);
    on.clock.time = lease.held_until;
    expect((await on.purge()).rows).toBe(5);
    expect(await on.store.leases.find({ name: 'purge' })).toBeUndefined();
  });

  test('of many that are asked for at once one runs', async () => {
    await using on = await stage(engine);
    await fill(on, 300);
    const reports = await Promise.all([1, 2, 3, 4].map(() => on.purge()));
    expect(reports.filter(({ outcome }) => outcome === 'completed')).toHaveLength(1);
    expect(reports.filter(({ outcome }) => outcome === 'held')).toHaveLength(3);
  });

  test('tells how far it is: target by target, never back, and its share of the time walked through', async () => {
    await using on = await stage(engine);
    await fill(on, 1500);
    const told: PurgeProgress[] = [];
    await on.purge({}, { progress: (now) => told.push(now) });
    expect(told.filter(({ finished }) => finished).map(({ number }) => number)).toEqual(
      purgeTargets.map((_, index) => index + 1),
    );
    const shares = told.flatMap(({ target, share }) =>
      target === 'machine-tokens' && share !== null ? share : [],
    );
    expect(shares.length).toBeGreaterThan(1);
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
    for (const share of shares) expect(share).toBeLessThanOrEqual(1);
  });

  test('goes on in small steps, and does not stop, while the log of the store is too long', async () => {
    await using on = await stage(engine);
    await fill(on, 300);
    const steps = vi.fn(on.store.purge.issuances_of_machines);
    const store = { ...on.store, purge: { ...on.store.purge, issuances_of_machines: steps } };
    const isCrowded = () => steps.mock.calls.length < 3;
    const report = await on.purge({ only: ['machine-tokens'] }, { parts: { store, isCrowded } });
    expect(report).toMatchObject({ outcome: 'completed', rows: 300 });
    expect(steps.mock.calls[1]?.[0].look).toBe(20);
  });

  test('leaves a database in which nothing was ever kept as new as it was', async () => {
    await using on = await stage(engine);
    expect(await on.purge()).toMatchObject({ outcome: 'completed', rows: 0 });
    const late = { clock: { now: () => (on.clock.time += 100) } };
    expect(await on.purge({ timeout: 100 }, { parts: late })).toMatchObject({ outcome: 'out_of_time' });
    expect(await on.store.audit.list({ after: 0, limit: 1 })).toEqual([]);
  });

  test('knows the oldest row that it has to take, until it has', async () => {
    await using on = await stage(engine);
    await fill(on, 5);
    const purge = on.purgeWith({});
    const due = async () => (await purge.backlog()).filter(({ oldest }) => oldest !== null);
    expect(await due()).toEqual([{ target: 'machine-tokens', oldest: NOW - DAY }]);
    await on.purge();
    expect(await due()).toEqual([]);
  });

  test('leaves an audit chain that verifies from where it begins now, and from nowhere else', async () => {
    await using on = await stage(engine);
    for (let n = 0; n < 12; n++) {
      await on.sql(`insert into dpop_nonces values ('old', 1)`);
      await on.purge({ only: ['dpop-nonces'] });
      on.clock.time += 100 * DAY;
    }
    const before = await on.store.audit.list({ after: 0, limit: 100 });
    expect(verifyChain(before)).toMatchObject({ intact: true });
    const { rows } = await on.purge({ only: ['audit-events'] });
    expect(rows).toBeGreaterThan(3);
    const kept = await on.store.audit.list({ after: 0, limit: 100 });
    const beginning = await on.store.audit.beginning({});
    expect(verifyChain(kept, beginning)).toMatchObject({ intact: true });
    expect(verifyChain(kept)).toMatchObject({ intact: false, sequence: 1, fault: 'removed' });
    expect(verifyChain(kept.slice(1), beginning)).toMatchObject({ intact: false, fault: 'removed' });
    const forged = { ...beginning, hash: before[0]?.hash ?? '' };
    expect(verifyChain(kept, forged)).toMatchObject({ intact: false, fault: 'changed' });
  });
});

test.skipIf(!engines.some(({ name }) => name === 'postgres'))(
  'on PostgreSQL it leaves rows that somebody else holds, waits for nobody, and takes them the next time',
  async () => {
    await using on = await stage({ name: 'postgres' });
    await fill(on, 40);
    if (on.storage.driver !== 'postgres') throw new Error('asked for postgres');
    const [first] = await query(on.storage.dsn, 'select jti from issuances order by expires_at limit 1');
    const holding = query(
      on.storage.dsn,
      `begin; select 1 from issuances where jti = '${first?.['jti']}' for update; select pg_sleep(1); commit`,
    );
    await sleep(200);
    const began = performance.now();
    expect((await on.purge({ only: ['machine-tokens'] })).rows).toBe(39);
    expect(performance.now() - began).toBeLessThan(700);
    await holding;
    expect((await on.purge({ only: ['machine-tokens'] })).rows).toBe(1);
  },
);

test.skipIf(!engines.some(({ name }) => name === 'postgres'))(
  'on PostgreSQL it leaves rows that come to life while it has them in hand, also where many end at the same moment',
  async () => {
    await using on = await stage({ name: 'postgres' });
    if (on.storage.driver !== 'postgres') throw new Error('asked for postgres');
    const many = 20_000;
    await on.sql('create table revived (id text)');
    await on.sql(
      `insert into login_failures select 'id' || i, 1, 0, null, 1 from generate_series(0, ${many - 1}) as g(i)`,
    );
    // One after the other, each in a transaction of its own, as failed sign-ins would.
    const reviving = query(
      on.storage.dsn,
      `do $$ begin
         for i in 1..${many / 4} loop
           with one as (update login_failures set expires_at = ${NOW + DAY}
             where id = 'id' || (i * 7919) % ${many} returning id) insert into revived select id from one;
           commit;
         end loop;
       end $$`,
    );
    const { rows } = await on.purge({ only: ['login-failures'] });
    await reviving;
    expect(rows).toBeGreaterThan(0);
    const [revived] = await on.sql('select count(*) as n from revived');
    expect(Number(revived?.['n'])).toBeGreaterThan(0);
    const lost = 'select id from revived where id not in (select id from login_failures)';
    expect(await on.sql(lost)).toEqual([]);
  },
);
