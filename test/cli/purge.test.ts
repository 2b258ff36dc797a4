// `authserver purge` from outside, with a server and without one, and the purge that a server runs by itself.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { PurgeReport } from '../../src/ops/purge-report.ts';
import { runSql } from '../purge/fixture.ts';
import { describeEngines, type FreshStorage, freshStorage, inTurn } from '../setup/engines.ts';
import { migrateFresh } from '../setup/fresh-store.ts';
import { spawnAuthserver, TestServer } from '../setup/server.ts';

/** Rows that take a purge a while. */
const MANY = 100_000;

const addRows = {
  sqlite: (count: number) =>
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count}) insert into assertion_jtis select hex(randomblob(16)), i from n`,
  postgres: (count: number) =>
    `insert into assertion_jtis select md5(i::text), i from generate_series(1, ${count}) as g(i)`,
} as const;

const fill = (storage: FreshStorage, count: number) => runSql(storage, addRows[storage.driver](count));
const rowsIn = async (storage: FreshStorage, table: string) =>
  Number((await runSql(storage, `select count(*) as n from ${table}`))[0]?.['n']);
/** The first of what `fill` has made ends at 1. To ask for it costs next to nothing, however many there are. */
const oldestIn = async (storage: FreshStorage) =>
  Number((await runSql(storage, 'select min(expires_at) as n from assertion_jtis'))[0]?.['n']);

/** A migrated database and settings for it, no server. */
async function prepare(storage: FreshStorage, env: Readonly<Record<string, string>> = {}) {
  await migrateFresh(storage);
  return TestServer.prepare({ storage, env });
}

const logged = (stderr: string) =>
  stderr
    .split('\n')
    .filter((text) => text.startsWith('{'))
    .map((text) => JSON.parse(text) as Record<string, unknown>)
    .filter(({ msg }) => String(msg).startsWith('purge '));

/** Starts a purge and waits until it is at work. */
async function atWork(storage: FreshStorage, server: TestServer, args: readonly string[] = []) {
  const child = spawnAuthserver(['purge', '--json', ...args], { env: server.env });
  const closed = once(child, 'close');
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  while ((await oldestIn(storage)) === 1 && child.exitCode === null) await sleep(20);
  const end = async () => {
    const [code] = (await closed) as [number | null];
    return { code, stdout, stderr };
  };
  return { child, end };
}

describeEngines('authserver purge', (engine) => {
  const story = inTurn(engine);
  story(
    'purges through a server that does not by itself, and without one; logs each target, and reports',
    async () => {
      await using storage = await freshStorage(engine);
      const env = { AUTHSERVER_PURGE_INTERVAL: '1s', AUTHSERVER_PURGE_ENABLED: 'false' };
      await using server = await prepare(storage, env);
      await server.start();
      for (const serving of [true, false]) {
        if (!serving) await server.stop();
        await fill(storage, 300);
        if (serving) await sleep(1300);
        expect(await rowsIn(storage, 'assertion_jtis')).toBe(300);
        const { code, stdout, stderr } = await server.process(['purge', '--json', '--timeout=0']);
        expect(code, stderr).toBe(0);
        const report = JSON.parse(stdout) as PurgeReport;
        expect(report).toMatchObject({ outcome: 'completed', rows: 300 });
        const lines = logged(stderr);
        expect(lines.map(({ level, msg }) => [level, msg])).toEqual(
          report.targets.map(() => ['info', 'purge completed']),
        );
        expect(lines.find(({ table }) => table === 'assertion-jti')).toMatchObject({ rows: 300 });
        // On PostgreSQL a command works beside the server.
        expect(logged(server.log)).toHaveLength(engine.name === 'sqlite' ? report.targets.length : 0);
        expect(await rowsIn(storage, 'assertion_jtis')).toBe(0);
      }
    },
  );

  story('counts in a dry run, and takes only what --only names', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await fill(storage, 20);
    expect((await server.cli(['purge', '--dry-run'])).stdout).toBe(
      '20 rows would go.\n  assertion-jti  20 rows\n',
    );
    const none = await server.cli(['purge', '--only=jti,sessions']);
    expect(none.stdout).toBe('0 rows are gone.\n');
    // Nobody watches: no progress line, no escape sequences.
    expect(none.stderr).not.toContain('\r');
    expect((await server.cli(['purge', '--only', 'assertion-jti'])).stdout).toMatch(
      /^20 rows are gone\.\n {2}assertion-jti {2}20 rows in \d+m?s\n$/,
    );
    const { code, stderr } = await server.cli(['purge', '--only=jtis']);
    expect(code).toBe(2);
    expect(stderr).toContain('There is no purge target "jtis".');
    expect(stderr).toContain('Did you mean jti? Targets: abandoned-clients, assertion-jti,');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('on %s stops after the step in hand with 4', async (signal) => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await fill(storage, MANY);
    if (signal === 'SIGINT') await server.start();
    const { child, end } = await atWork(storage, server);
    const told = performance.now();
    child.kill(signal);
    const { code, stdout, stderr } = await end();
    expect(code, stderr).toBe(4);
    expect(performance.now() - told).toBeLessThan(15_000);
    const report = JSON.parse(stdout) as PurgeReport;
    expect(report.outcome).toBe('stopped');
    const left = await rowsIn(storage, 'assertion_jtis');
    expect(left).toBe(MANY - report.rows);
    expect(left).toBeGreaterThan(0);
    expect(logged(stderr).at(-1)).toMatchObject({ level: 'warn', table: 'assertion-jti' });
  });

  story('ends with 5 when its time is up, and says what is left', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await fill(storage, MANY);
    const { code, stdout, stderr } = await server.cli(['purge', '--timeout=1s', '--json']);
    expect(code, stderr).toBe(5);
    const report = JSON.parse(stdout) as PurgeReport;
    expect(report.outcome).toBe('out_of_time');
    expect(report.rows).toBeLessThan(MANY);
    expect(await rowsIn(storage, 'assertion_jtis')).toBe(MANY - report.rows);
    const cut = report.targets.find(({ target }) => target === 'assertion-jti');
    // On a machine that is busy enough its turn may not even have come.
    if (cut?.outcome === 'stopped') expect(cut.oldest_left).toBe(report.rows + 1);
    expect(stderr).toContain('--timeout=0');
  });

  story('ends with 1 when a target fails, after it has done the others', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await fill(storage, 10);
    await runSql(storage, 'drop table connect_pending_states');
    await runSql(storage, `insert into dpop_nonces values ('old', 1)`);
    const { code, stdout, stderr } = await server.process(['purge', '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'failed', rows: 11 });
    expect(logged(stderr).filter(({ level }) => level === 'error')).toMatchObject([
      {
        msg: 'purge failed',
        table: 'connect-pending-states',
        error: expect.stringContaining('connect_pending'),
      },
    ]);
    expect(stderr).toContain('authserver purge --only=connect-pending-states');
  });

  story('does nothing while another purges, says who, and ends with 0', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await fill(storage, 10);
    const until = Date.now() + 60_000;
    await runSql(storage, `insert into leases values ('purge', 'host-9, process 12, run_1', 0, ${until})`);
    const { code, stdout } = await server.cli(['purge']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      'host-9, process 12, run_1 has been purging since 1970-01-01 00:00:00Z. Nothing was done.\n',
    );
    expect(await rowsIn(storage, 'assertion_jtis')).toBe(10);
  });
});

describeEngines('a server', (engine) => {
  test('purges by itself, and stops at once in the middle of it', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage, { AUTHSERVER_PURGE_INTERVAL: '1s' });
    await fill(storage, MANY);
    await server.start();
    while ((await oldestIn(storage)) === 1) await sleep(20);
    const told = performance.now();
    expect(await server.stop()).toBe(0);
    expect(performance.now() - told).toBeLessThan(3000);
    expect(await rowsIn(storage, 'assertion_jtis')).toBeGreaterThan(0);
    expect(server.log).toContain('purge interrupted');
    expect(await rowsIn(storage, 'leases')).toBe(0);
  });
});
