// Point in time on PostgreSQL: set up by the command, against a real server and a real pgBackRest, and held to an oracle
// that stands outside of both.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../src/app/config.ts';
import { storageChoice } from '../../src/app/database.ts';
import { openStore } from '../../src/app/open-store.ts';
import { rowsAt } from '../../src/app/pgbackrest/rows-at.ts';
import type { SetupReport } from '../../src/app/pgbackrest/setup.ts';
import { recoveryStatus, rememberedStatus } from '../../src/app/pgbackrest/status.ts';
import { stageFromRows } from '../../src/app/restore-rows.ts';
import { openScratch } from '../../src/app/scratch.ts';
import { readSnapshot } from '../../src/app/snapshots.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { judgeArchiver } from '../../src/ops/point-in-time/archiver.ts';
import type { RecoveryStatus } from '../../src/ops/point-in-time/status.ts';
import { alterSystem, readArchiving } from '../../src/store/postgres/archiving.ts';
import { digestTables } from '../../src/store/snapshot.ts';
import { ArchivingCluster, noArchivingCluster } from '../setup/archiving-cluster.ts';
import { query } from '../setup/cluster.ts';
import { authserver, startServer } from '../setup/server.ts';

/** How many moments are restored: each takes a cluster about 2 s. */
const TARGETS = 8;
const COMMITS = 150;
const SEED = 20_261_122;

const skipped = noArchivingCluster === undefined ? '' : ` (skipped: ${noArchivingCluster})`;

describe.skipIf(skipped !== '')(`point in time on PostgreSQL through pgBackRest${skipped}`, () => {
  let cluster: ArchivingCluster;
  let stateDir: string;
  let env: Record<string, string>;
  let config: Config;

  const run = (...words: string[]) => authserver(words, { env });
  const sql = (text: string) => query(cluster.dsn, text);
  const setUp = async (...words: string[]) => {
    const { code, stdout, stderr } = await run('recovery', 'setup', '--json', ...words);
    return { code, stderr, report: (stdout === '' ? {} : JSON.parse(stdout)) as SetupReport };
  };

  beforeAll(async () => {
    cluster = await ArchivingCluster.start();
    stateDir = mkdtempSync(path.join(tmpdir(), 'authserver-state-'));
    env = {
      AUTHSERVER_STATE_DIR: stateDir,
      AUTHSERVER_STORAGE_DRIVER: 'postgres',
      AUTHSERVER_STORAGE_POSTGRES_DSN: cluster.dsn,
    };
    ({ config } = await loadConfig({ file: undefined, env, terminal: false }));
    expect(await run('migrate', '--no-backup')).toMatchObject({ code: 0 });
  }, 60_000);

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    if (stateDir !== undefined) rmSync(stateDir, { recursive: true, force: true });
  });

  const folder = () => path.join(cluster.folder, 'pgbackrest');
  const scratch = () => path.join(folder(), 'scratch');

  test('what excludes each other is refused before anything is looked at', async () => {
    for (const words of [
      ['--provider', '--repo', '/nowhere'],
      ['--adopt', '/nowhere/pgbackrest.conf', '--apply'],
    ]) {
      const { code, stderr } = await run('recovery', 'setup', ...words);
      expect(code, stderr).toBe(2);
      expect(stderr).toContain('exclude each other');
    }
  });

  test('before it is set up the status is red and says what to do', async () => {
    const { code, stdout, stderr } = await run('recovery', 'status');
    expect(code, stderr).toBe(1);
    expect(stdout).toContain('Nobody has set up point in time recovery');
    expect(stdout).toContain('authserver recovery setup');
    const failure = await rowsAt(config, Date.now()).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'not_found', hint: expect.stringContaining('recovery setup') });
  });

  test('setup goes from nothing to a proven round trip, stopping where the operator is needed', {
    timeout: 120_000,
  }, async () => {
    const told = await setUp('--write', folder(), '--stanza', 'main');
    expect(told).toMatchObject({ code: 5, report: { done: false } });
    expect(told.report.next?.lines.join('\n')).toMatch(
      /set archive_mode = 'on'[\s\S]*set archive_command = '.*--stanza=main archive-push %p'/,
    );
    const config = path.join(folder(), 'pgbackrest.conf');
    expect(statSync(config).mode & 0o777).toBe(0o600);
    expect(statSync(folder()).mode & 0o777).toBe(0o700);
    const { passphrase } = told.report;
    expect(passphrase).toMatch(/^[\w-]{43}$/);

    const applied = await setUp('--apply');
    expect(applied).toMatchObject({
      code: 5,
      report: { passphrase, next: { say: expect.stringContaining('restart') } },
    });
    expect(await setUp('--apply'), 'nothing changes before the restart').toMatchObject(applied);
    await cluster.restart();

    const done = await setUp();
    expect(done, done.stderr).toMatchObject({
      code: 0,
      report: { done: true, passphrase, status: { ok: true } },
    });
    expect(done.report.steps.map(({ step }) => step)).toEqual([
      'configuration',
      'repository',
      'stanza',
      'archiving',
      'check',
      'full backup',
      'round trip',
    ]);
    const again = await setUp();
    expect(again.report.passphrase, 'is not told for ever').toBeNull();
    expect(again.report.steps.find(({ step }) => step === 'full backup')?.says).toMatch(/F is there$/);
    expect(readdirSync(scratch()), 'nothing is left of the restored clusters').toEqual([]);
  });

  test('setup refuses what would orphan or endanger a repository, and says what to do', async () => {
    const refusals: readonly (readonly [string[], number, string])[] = [
      [['--stanza', 'other'], 3, 'archives to stanza main'],
      [['--repo', '/somewhere/else'], 3, 'another repository'],
      [['--write', path.join(cluster.folder, 'elsewhere')], 3, 'archives to stanza main'],
      [['--repo', 'relative'], 2, 'absolute path'],
      [['--repo', '/a b'], 2, 'absolute path'],
      [['--stanza', 'a;b'], 2, '--stanza needs'],
      [['--pgdata', folder()], 3, 'does not run on this machine'],
    ];
    for (const [words, code, says] of refusals) {
      const refused = await run('recovery', 'setup', ...words);
      expect(refused, words.join(' ')).toMatchObject({ code, stderr: expect.stringContaining(says) });
      expect(refused.stderr).toContain('Next:');
    }
  });

  test(`${TARGETS} random moments of one history come back exactly, and nothing of the live cluster is touched`, {
    timeout: 240_000,
  }, async () => {
    const random = seeded(SEED);
    const client = new Client({ connectionString: cluster.dsn });
    await client.connect();
    const clock = async () => {
      const { rows } = await client.query('select extract(epoch from clock_timestamp()) * 1000 as ms');
      return Number(rows[0].ms);
    };
    const value = (n: number) =>
      `insert into settings values ('oracle', '${n}', ${n}) on conflict (name) do update set value = excluded.value`;
    /** Between `after` of one and `before` of the next, the database holds that one. */
    const oracle: { n: number; before: number; after: number }[] = [];
    for (let n = 1; n <= COMMITS; n++) {
      const before = await clock();
      await client.query(value(n));
      oracle.push({ n, before, after: await clock() });
      await sleep(2 + random() * 8);
      if (n % 50 === 0) await client.query('select pg_switch_wal()');
    }
    await client.query('select pg_switch_wal()');
    await client.end();

    const quiet = oracle.flatMap(({ n, after }, at) => {
      const next = oracle[at + 1]?.before ?? 0;
      // The whole of the millisecond has to lie between the two.
      const moment = Math.ceil(after);
      return moment + 1 <= next ? [{ n, moment }] : [];
    });
    expect(quiet.length).toBeGreaterThan(TARGETS);
    for (let target = 0; target < TARGETS; target++) {
      const { n, moment } = quiet[Math.floor(random() * quiet.length)]!;
      await using at = await rowsAt(config, moment);
      const store = await openStore(at.storage, silentLog);
      const row = await store.settings.get({ name: 'oracle' });
      await store.close();
      expect({ value: row?.value, complete: at.complete }, `at ${moment}`).toEqual({
        value: String(n),
        complete: true,
      });
    }
    expect((await sql("select value from settings where name = 'oracle'"))[0]).toEqual({
      value: String(COMMITS),
    });
    expect(await recoveryStatus(config)).toMatchObject({ ok: true, archive_failures: 0 });
  });

  test('a server that runs on it tells the lag, and is ready as far as this goes', async () => {
    const nothing = async () => {};
    const storage = {
      driver: 'postgres',
      dsn: cluster.dsn,
      dispose: nothing,
      [Symbol.asyncDispose]: nothing,
    } as const;
    await using server = await startServer({ storage });
    const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^authserver_recovery_ready 1$/m);
    expect(metrics).toMatch(/^authserver_recovery_lag_seconds \d/m);
    const ready = (await (await fetch(`${server.adminUrl}/ready?ops`)).json()) as { checks: object };
    expect(ready.checks).toMatchObject({ recovery: { ok: true } });
    const { stdout } = await server.cli(['backup', 'list', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      windows: [{ from: expect.any(Number), to: expect.any(Number) }],
    });
  });

  test('a moment after the last change says how far the log reaches; one before the first backup is refused', {
    timeout: 120_000,
  }, async () => {
    await sql("update settings set value = 'last' where name = 'oracle'");
    const [row] = await sql('select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms');
    await sql('select pg_switch_wal()');
    await untilArchived();
    await using at = await rowsAt(config, Date.now() + 3_600_000);
    expect(at.complete).toBe(false);
    expect(at.reached).toBeLessThanOrEqual(Number(row?.['ms']));
    const store = await openStore(at.storage, silentLog);
    expect((await store.settings.get({ name: 'oracle' }))?.value).toBe('last');
    await store.close();
    // So whoever names that moment gets all there is.
    await using end = await rowsAt(config, at.reached ?? 0);
    expect(end.reached).toBe(at.reached);

    const status = await recoveryStatus(config);
    const tooEarly = await rowsAt(config, (status.window?.from ?? 0) - 2000).catch((error: unknown) => error);
    expect(tooEarly).toMatchObject({ code: 'not_found', hint: expect.stringContaining('window begins at') });
  });

  test('the rows of a moment go into a database of another engine with equal digests', {
    timeout: 120_000,
  }, async () => {
    await sql('select pg_switch_wal()');
    await using at = await rowsAt(config, Date.now() + 3_600_000);
    const sqlite = {
      driver: 'sqlite',
      sqlite: { path: path.join(stateDir, 'unused.db'), wal: true },
    } as const;
    await using place = await openScratch(sqlite, stateDir);
    const { totals, head } = await stageFromRows(at.storage, place.storage, {
      clock: systemClock,
      random: systemRandom,
    });
    await using read = await readSnapshot(place.storage, { clock: systemClock });
    expect(await digestTables(read)).toEqual(totals);
    expect(read.head.deployment).toEqual(head.deployment);
    expect(totals.find(({ table }) => table === 'settings')?.rows).toBeGreaterThan(1);
  });

  test('a process that is killed leaves neither a server nor the rows behind', {
    timeout: 120_000,
  }, async () => {
    const script = path.join(import.meta.dirname, 'rows-at-child.ts');
    const child = spawn(process.execPath, [script, String(Date.now() + 3_600_000)], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { dsn } = (JSON.parse(line) as { postgres: { dsn: string } }).postgres;
    expect(await query(dsn, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(readdirSync(scratch())).toHaveLength(1);
    child.kill('SIGKILL');
    while (readdirSync(scratch()).length > 0) await sleep(50);
    await expect(query(dsn, 'select 1')).rejects.toThrow();
    expect(existsSync(new URL(dsn).searchParams.get('host') ?? '/')).toBe(false);
  });

  test('one that is stopped in the middle takes everything along', async () => {
    const stop = new AbortController();
    const progress = (step: string) => {
      if (step.startsWith('replaying')) setImmediate(() => stop.abort());
    };
    const stopped = rowsAt(config, Date.now() + 3_600_000, { signal: stop.signal, progress });
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    expect(readdirSync(scratch())).toEqual([]);
  });

  test('the restore command brings a moment back, but for access that was taken away since, and undoes that', {
    timeout: 120_000,
  }, async () => {
    const addUser = (name: string) =>
      sql(`insert into users (id, username, email_verified, status, profile_json, created_at, updated_at)
        values ('user_${name}', '${name}', 0, 'active', '{}', 1, 1)`);
    const users = () => sql('select username, status from users order by username');
    await addUser('ada');
    await addUser('eve');
    await sleep(20);
    const to = Date.now();
    await sleep(20);
    await addUser('bob');
    const store = await openStore(storageChoice(config), silentLog);
    await store.users.setStatus({ id: 'user_eve', status: 'disabled', now: Date.now() });
    await store.close();
    await sql('select pg_switch_wal()');
    await untilArchived();
    const before = await users();

    const words = ['restore', '--to', new Date(to).toISOString()];
    const plan = await run(...words, '--plan', '--json');
    expect(plan, plan.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(plan.stdout)).toMatchObject({ restored_to: to, lost: { from: to }, obstacles: [] });
    expect(await users()).toEqual(before);

    const restored = await run(...words, '--yes', '--json');
    expect(restored, restored.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(restored.stdout)).toMatchObject({
      restored_to: to,
      // The keys of the server above went with its state directory, and are in no database.
      notes: [
        expect.stringMatching(/^Without the recovery key .* known only as far as the present database tells/),
        expect.stringMatching(/active signing key .* is neither in the backup nor in/),
      ],
    });
    expect(await users()).toEqual([
      { username: 'ada', status: 'active' },
      { username: 'eve', status: 'disabled' },
    ]);
    const undone = await run('restore', 'undo', '--yes');
    expect(undone, undone.stderr).toMatchObject({ code: 0 });
    expect(await users()).toEqual(before);
    expect(readdirSync(scratch())).toEqual([]);
  });

  test('a role that may see little is told the same lag, and what it needs for the setup', async () => {
    await sql('create role onlooker login');
    await sql('grant select on all tables in schema public to onlooker');
    const dsn = cluster.dsn.replace('postgres@', 'onlooker@');
    const options = { dsn, maxConnections: 1, connectTimeout: 5000, statementTimeout: 5000 };
    const facts = await readArchiving(options);
    expect(facts).toMatchObject({ queue: null, dataDirectory: null, superuser: false });
    expect(judgeArchiver(facts, 60_000)).toMatchObject({ waiting: 0, findings: [] });
    const refused = await authserver(['recovery', 'setup'], {
      env: { ...env, AUTHSERVER_STORAGE_POSTGRES_DSN: dsn },
    });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--pgdata DIR') });
    await expect(alterSystem(options, [{ name: 'archive_mode', value: 'off' }])).rejects.toMatchObject({
      code: 'configuration',
    });
  });

  test('a new machine with the repository and the passphrase restores from it', {
    timeout: 120_000,
  }, async () => {
    const elsewhere = mkdtempSync(path.join(tmpdir(), 'authserver-state-'));
    const env2 = { ...env, AUTHSERVER_STATE_DIR: elsewhere };
    const adopted = await authserver(
      ['recovery', 'setup', '--adopt', path.join(folder(), 'pgbackrest.conf')],
      { env: env2 },
    );
    expect(adopted, adopted.stderr).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('can be restored from'),
    });
    const { config } = await loadConfig({
      file: undefined,
      env: { ...env2, AUTHSERVER_STORAGE_POSTGRES_DSN: 'postgres://postgres@127.0.0.1:1/postgres' },
      terminal: false,
    });
    await using at = await rowsAt(config, Date.now() + 3_600_000);
    expect(at.complete).toBe(false);
    await rm(elsewhere, { recursive: true });
  });

  test('an archive command that breaks turns the status red within one interval, and green when it is mended', {
    timeout: 150_000,
  }, async () => {
    const [before] = await sql("select setting from pg_settings where name = 'archive_command'");
    await sql("alter system set archive_command = '/bin/false'");
    await sql('select pg_reload_conf()');
    await sql("update settings set value = 'unarchived' where name = 'oracle'");
    await sql('select pg_switch_wal()');
    const broken = Date.now();
    const red = await untilStatus(({ ok }) => !ok);
    expect(Date.now() - broken).toBeLessThan(30_000);
    expect(red.findings.map(({ says }) => says).join()).toContain('Archiving fails');
    expect(await run('recovery', 'status')).toMatchObject({ code: 1 });
    await sql(`alter system set archive_command = '${before?.['setting']}'`);
    await sql('select pg_reload_conf()');
    await sql('select pg_switch_wal()');
    await untilStatus(({ ok }) => ok);
  });

  test('a repository that is gone turns it red, for whoever may look at it and for those who may not', {
    timeout: 150_000,
  }, async () => {
    await rename(path.join(folder(), 'repo'), path.join(folder(), 'gone'));
    const { code, stdout } = await run('recovery', 'status');
    expect(code).toBe(1);
    expect(stdout).toContain('cannot be used');
    const store = await openStore(
      {
        driver: 'postgres',
        postgres: { dsn: cluster.dsn, maxConnections: 2, connectTimeout: 5000, statementTimeout: 5000 },
      },
      silentLog,
    );
    expect(await rememberedStatus(config, store.settings)).toMatchObject({ ok: false, window: null });
    await store.close();
    // What PostgreSQL tried to archive meanwhile may have made the folder anew.
    await rm(path.join(folder(), 'repo'), { recursive: true, force: true });
    await rename(path.join(folder(), 'gone'), path.join(folder(), 'repo'));
    await sql('select pg_switch_wal()');
    await untilStatus(({ ok }) => ok);
  });

  test('with a provider nothing is installed, and what SQL sees is watched', async () => {
    const { code, stdout } = await run('recovery', 'setup', '--provider', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ by: 'provider', ok: true, window: null, archive_mode: 'on' });
  });

  async function untilStatus(wanted: (status: RecoveryStatus) => boolean): Promise<RecoveryStatus> {
    for (;;) {
      const status = await recoveryStatus(config);
      if (wanted(status)) return status;
      await sleep(100);
    }
  }

  async function untilArchived(): Promise<void> {
    await untilStatus(({ segments_waiting }) => segments_waiting === 0);
  }
});

/** A small generator, the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
