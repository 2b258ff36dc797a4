// `authserver migrate` as an operator meets it: the plan, the backup before, the refusals, and the way back, which is executed.

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { changesOf, tablesMadeBy } from '../../src/store/migrations/change.ts';
import { timeline } from '../../src/store/migrations/timeline.ts';
import { describeEngines, engines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { freePort } from '../setup/free-port.ts';
import { authserver, type Outcome, spawnAuthserver, TestServer } from '../setup/server.ts';
import { ask, digestOf, loadFixture, openSession, rowsOf, script } from '../upgrade/database.ts';

const sqlite = engines.find(({ name }) => name === 'sqlite');
const postgres = engines.find(({ name }) => name === 'postgres');

const pending = timeline.filter(({ version }) => version > 1);
const names = pending.map(({ version, name }) => `${version} (${name})`).join(', ');

/**
 * A database of version 1 with data, and the commands on it. No server has made a recovery key for it, so there is no backup
 * but what is made by hand, or beside it (those are in migrate-backup.test.ts).
 */
async function versionOne(storage: FreshStorage): Promise<TestServer> {
  await loadFixture(storage, 1);
  return TestServer.prepare({ storage });
}

/** Takes a database that a server has worked on back to version 1. */
async function backToVersionOne(storage: FreshStorage): Promise<void> {
  const tables = pending.flatMap((step) => tablesMadeBy(changesOf(step))).reverse();
  await script(storage, tables.map((table) => `drop table ${table};`).join('\n'));
  await script(storage, 'delete from schema_migrations where version > 1');
}

async function contentOf(storage: FreshStorage): Promise<unknown> {
  return [await digestOf(storage), await rowsOf(storage)];
}

/** The settings also remember the backups. */
function rowsBesideSettings(rows: Awaited<ReturnType<typeof rowsOf>>): unknown {
  return [...rows].filter(([table]) => table !== 'settings');
}

interface Report {
  readonly applied: boolean;
  readonly deployment: string;
  readonly steps: readonly Record<string, unknown>[];
  readonly backup: {
    readonly id: string | null;
    readonly copy: { readonly file: string; readonly proof: string } | null;
  } | null;
  readonly undo: readonly { readonly say: string; readonly command: string | null }[];
  readonly schema_digest: string;
}

function reportOf({ code, stdout, stderr }: Outcome): Report {
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Report;
}

describeEngines('authserver migrate', (engine) => {
  it('plans: each step, what it touches, whom it stops, how long, and the backup; and writes nothing', async () => {
    await using storage = await freshStorage(engine);
    await using server = await versionOne(storage);
    const before = await contentOf(storage);
    const plan = reportOf(await server.cli(['migrate', '--plan', '--json']));
    expect(plan).toMatchObject({ applied: false, deployment: 'dep_fixture', undo: [] });
    expect(plan.steps.map(({ version }) => version)).toEqual(pending.map(({ version }) => version));
    expect(plan.steps[0]).toEqual({
      version: 2,
      name: 'day-two',
      release: expect.any(String),
      tables: expect.arrayContaining([{ table: 'leases', change: 'new', rows: 0, exact: true }]),
      blocks_writers: engine.name === 'sqlite' ? 'throughout' : 'briefly',
      estimated_ms: expect.any(Number),
    });
    const intent =
      engine.name === 'sqlite'
        ? /no recovery key yet.*copied to .*authserver\.db\.before-2 as well/
        : /no recovery key yet.*backup\.recipients.*pg_dump .*--no-backup/;
    expect(plan.backup).toEqual({ intent: expect.stringMatching(intent) });
    const { code, stdout } = await server.cli(['migrate', '--plan']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /2 {2}day-two \(release .*\), about \d+ ms by estimate, .*makes leases, .*points at clients \(/,
    );
    expect(await contentOf(storage)).toEqual(before);
  });

  it('plans where there is nothing yet, and leaves nothing there', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    const stateDir = path.join(server.stateDir, 'not', 'made');
    const plan = await authserver(['migrate', '--plan', '--json'], {
      env: { ...server.env, AUTHSERVER_STATE_DIR: stateDir },
    });
    expect(reportOf(plan).steps).toHaveLength(timeline.length);
    expect(existsSync(path.dirname(stateDir))).toBe(false);
    expect(await rowsOf(storage)).toEqual(new Map());
  });

  it('needs no backup of a database that nobody has used, and does nothing the second time', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    const first = reportOf(await server.cli(['migrate', '--json']));
    expect(first).toMatchObject({ applied: true, backup: null, undo: [] });
    expect(first.steps).toHaveLength(timeline.length);
    expect(first.schema_digest).toBe(await digestOf(storage));
    const before = await contentOf(storage);
    expect(await server.cli(['migrate'])).toMatchObject({ code: 0, stdout: 'The schema is up to date.\n' });
    expect(await contentOf(storage)).toEqual(before);
  });

  it('refuses with 3 and the next step what is not for it, before it writes anything', async () => {
    await using storage = await freshStorage(engine);
    await using server = await versionOne(storage);
    await script(storage, "insert into schema_migrations values (9999, 'future', 'c', 1)");
    const before = await contentOf(storage);
    for (const words of [['migrate', '--no-backup'], ['serve']]) {
      const { code, stdout, stderr } = await server.cli(words);
      expect({ code, stdout }, words.join(' ')).toEqual({ code: 3, stdout: '' });
      expect(stderr).toMatch(
        /schema step 9999 \(future\)[\s\S]*Next: .*Start that version, or restore the backup/,
      );
    }
    expect(await contentOf(storage)).toEqual(before);
  });

  it('is the only command that migrates', async () => {
    await using storage = await freshStorage(engine);
    await using server = await versionOne(storage);
    const before = await contentOf(storage);
    const { code, stderr } = await server.cli(['admin', 'user', 'list']);
    expect(code).toBe(3);
    expect(stderr).toContain(`lacks schema steps: ${names}.`);
    expect(stderr).toContain('authserver migrate');
    expect(await contentOf(storage)).toEqual(before);
  });

  it("refuses another deployment's database, as every command does, until it is accepted by its id", async () => {
    await using storage = await freshStorage(engine);
    await using server = await versionOne(storage);
    const known = path.join(server.stateDir, 'deployment');
    await writeFile(known, 'dep_mine\n');
    for (const words of [['migrate', '--no-backup'], ['serve'], ['admin', 'user', 'list']]) {
      const { code, stderr } = await server.cli(words);
      expect(code, words.join(' ')).toBe(3);
      expect(stderr).toContain(
        `The database belongs to deployment dep_fixture, and ${server.stateDir} to dep_mine.`,
      );
      expect(stderr).toContain('authserver migrate --accept-deployment dep_fixture');
    }
    const mistaken = await server.cli(['migrate', '--no-backup', '--accept-deployment', 'dep_mine']);
    expect(mistaken.code).toBe(3);
    expect(mistaken.stderr).toContain('The database belongs to deployment dep_fixture, not to dep_mine.');
    expect(await ask(storage, 'select version from schema_migrations')).toHaveLength(1);
    // Only asked: the state directory stays where it belongs.
    const asked = await server.cli(['migrate', '--plan', '--accept-deployment', 'dep_fixture']);
    expect(asked.code, asked.stderr).toBe(0);
    expect(await readFile(known, 'utf8')).toBe('dep_mine\n');
    const accepted = await server.cli(['migrate', '--no-backup', '--accept-deployment', 'dep_fixture']);
    expect(accepted.code, accepted.stderr).toBe(0);
    expect(await readFile(known, 'utf8')).toBe('dep_fixture\n');
    expect((await server.cli(['migrate'])).code).toBe(0);
  });

  it('refuses an empty database in the place of the one that the state directory knows', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    await writeFile(path.join(server.stateDir, 'deployment'), 'dep_mine\n');
    for (const words of [['migrate'], ['serve']]) {
      const { code, stderr } = await server.cli(words);
      expect(code).toBe(3);
      expect(stderr).toMatch(
        /The database is empty, and .* belongs to deployment dep_mine\.[\s\S]*--accept-deployment new/,
      );
    }
    const { deployment } = reportOf(await server.cli(['migrate', '--accept-deployment', 'new', '--json']));
    expect(await readFile(path.join(server.stateDir, 'deployment'), 'utf8')).toBe(`${deployment}\n`);
  });
});

describe.skipIf(!sqlite)('authserver migrate (needs the sqlite engine)', () => {
  it('copies the database before, proves the copy, and prints the way back, which works', async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await versionOne(storage);
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    const before = await contentOf(storage);
    const report = reportOf(await server.cli(['migrate', '--json']));
    const copy = `${storage.path}.before-2`;
    expect(report.backup).toEqual({
      id: null,
      targets: [],
      proof: null,
      copy: {
        file: copy,
        proof: expect.stringMatching(/^integrity checked, \d\d+ rows in 20 tables as in the database$/),
      },
    });
    expect((await stat(copy)).mode & 0o777).toBe(0o600);
    // Whatever has been written since, even what a killed server left beside the database.
    await script(storage, "insert into leases values ('purge', 'somebody', 1, 2)");
    await writeFile(`${storage.path}-wal`, 'what a killed server left');
    await carryOut(report.undo);
    expect(await contentOf(storage)).toEqual(before);
    // Said twice it does no harm.
    await expect(carryOut(report.undo)).rejects.toThrow();
    expect(await contentOf(storage)).toEqual(before);
    expect(reportOf(await server.cli(['migrate', '--json'])).steps).toHaveLength(pending.length);
  });

  it('leads back from a rollback journal that a killed server left, where there is no log', async () => {
    await using storage = await freshStorage(sqlite!);
    await loadFixture(storage, 1);
    await using server = await TestServer.prepare({
      storage,
      env: { AUTHSERVER_STORAGE_SQLITE_WAL: 'false' },
    });
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    const before = await contentOf(storage);
    const { undo } = reportOf(await server.cli(['migrate', '--json']));
    await leaveHotJournal(storage.path);
    await carryOut(undo);
    expect(await contentOf(storage)).toEqual(before);
  });

  it('keeps what an earlier upgrade saved', async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await versionOne(storage);
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    const before = await contentOf(storage);
    const first = reportOf(await server.cli(['migrate', '--json']));
    // A mistaken way back: another state of version 1, which lacks what the copy has.
    await rm(storage.path);
    await loadFixture(storage, 1);
    await script(storage, 'delete from consents');
    const second = reportOf(await server.cli(['migrate', '--json']));
    expect(second.backup?.copy?.file).not.toBe(first.backup?.copy?.file);
    await carryOut(first.undo);
    expect(await contentOf(storage)).toEqual(before);
  });

  it('changes nothing when there is no room for the copy, unless none is wanted', async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await versionOne(storage);
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    const before = await contentOf(storage);
    await mkdir(`${storage.path}.before-2.tmp`);
    for (const command of ['migrate', 'serve']) {
      const { code, stderr } = await server.cli([command]);
      expect(code).toBe(3);
      expect(stderr).toMatch(
        /could not be copied to .*before-2, so nothing was changed[\s\S]*migrate --no-backup/,
      );
    }
    expect(await contentOf(storage)).toEqual(before);
    const { code, stderr, stdout } = await server.process(['migrate', '--no-backup']);
    expect(code).toBe(0);
    expect(stderr).toContain('without a proven backup');
    expect(stdout).toMatch(/To undo this upgrade:[\s\S]*No copy was made/);
    await rmdir(`${storage.path}.before-2.tmp`);
  });

  it('says so when the state directory cannot be written to', async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await versionOne(storage);
    await mkdir(path.join(server.stateDir, 'pid.tmp'));
    const { code, stderr } = await server.cli(['migrate']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('cannot keep its state in'),
    });
    expect(await ask(storage, 'select version from schema_migrations')).toHaveLength(1);
  });

  it('is what serve does at start, copy included', async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await TestServer.prepare({ storage });
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    await server.start();
    await server.stop();
    await backToVersionOne(storage);
    const before = rowsBesideSettings(await rowsOf(storage));
    await server.start();
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
    expect(server.log).toContain('backed up before the schema is changed');
    expect(server.log).toContain(`mv ${storage.path}.before-2 ${storage.path}`);
    await server.stop();
    const copy = { ...storage, path: `${storage.path}.before-2` };
    expect(rowsBesideSettings(await rowsOf(copy))).toEqual(before);
  });

  it('is refused while a server has the database', async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await TestServer.prepare({ storage });
    await server.start();
    await backToVersionOne(storage);
    const { code, stderr } = await server.cli(['migrate']);
    expect(code).toBe(3);
    expect(stderr).toContain(`belongs to process ${server.pid}`);
  });
});

describe.skipIf(!postgres)('authserver migrate (needs the postgres engine)', () => {
  it('wants a dump of a database with data, and --no-backup said out loud', async () => {
    await using storage = await freshStorage(postgres!);
    await using server = await versionOne(storage);
    const before = await contentOf(storage);
    const { code, stdout, stderr } = await server.cli(['migrate']);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(
      /there is no proven backup of it[\s\S]*pg_dump --format=custom --file=\S+ "\$AUTHSERVER_STORAGE_POSTGRES_DSN"/,
    );
    expect(await contentOf(storage)).toEqual(before);
    // What is refused has not accepted anything either.
    const known = path.join(server.stateDir, 'deployment');
    await writeFile(known, 'dep_mine\n');
    expect((await server.cli(['migrate', '--accept-deployment', 'dep_fixture'])).code).toBe(3);
    expect(await readFile(known, 'utf8')).toBe('dep_mine\n');
    await rm(known);
    const report = reportOf(await server.cli(['migrate', '--no-backup', '--json']));
    expect(report.steps).toHaveLength(pending.length);
    expect(report.undo.map(({ command }) => command).join('\n')).toContain(
      'psql --quiet --single-transaction',
    );
    expect(JSON.stringify(report)).not.toContain('postgres://');
  });

  it('names the schema that its tables are in, so that the way back leaves others alone', async () => {
    await using storage = await freshStorage(postgres!);
    await script(storage, 'create schema "Auth"');
    await using server = await versionOne(connectedBy(storage, { schema: '"Auth"' }));
    const { undo } = reportOf(await server.cli(['migrate', '--no-backup', '--json']));
    const commands = undo.flatMap(({ command }) => command ?? []).join('\n');
    expect(commands).toContain('pg_restore --no-owner --schema=Auth ');
    expect(commands).toContain(`'drop schema "Auth" cascade; create schema "Auth";'`);
    expect(commands).not.toContain('public');
  });

  it.each([
    [
      'may not make tables',
      'grant usage on schema auth to',
      /may not[\s\S]*permission denied for schema auth/,
    ],
    ['does not see the schema', 'revoke all on schema auth from', /finds no schema/],
  ])('says which right is missing when its role %s', async (_, right, says) => {
    await using storage = await freshStorage(postgres!);
    const role = `poor_${randomUUID().slice(0, 8)}`;
    await script(storage, `create role ${role} login; create schema auth; ${right} ${role}`);
    await using server = await TestServer.prepare({
      storage: connectedBy(storage, { schema: 'auth', role }),
    });
    const { code, stderr } = await server.cli(['migrate']);
    await script(storage, `drop owned by ${role}; drop role ${role}`);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(says) });
    expect(stderr).toContain('grant usage, create on schema');
  });

  it("prints a way back that works (needs pg_dump of the server's version)", async ({ skip }) => {
    await using storage = await freshStorage(postgres!);
    skip(!(await hasDumpTools(storage)), 'no pg_dump of this version on the path');
    await using server = await versionOne(storage);
    if (storage.driver !== 'postgres') throw new Error('not PostgreSQL');
    const before = await contentOf(storage);
    const shell = {
      cwd: server.stateDir,
      env: { ...process.env, AUTHSERVER_STORAGE_POSTGRES_DSN: storage.dsn },
    };
    const { stderr } = await server.cli(['migrate']);
    const dump = /`(pg_dump [^`]+)`/.exec(stderr)?.[1] ?? '';
    await promisify(execFile)('sh', ['-c', dump], shell);
    const { undo } = reportOf(await server.cli(['migrate', '--no-backup', '--json']));
    await carryOut(undo, shell);
    expect(await contentOf(storage)).toEqual(before);
  });

  it('ends with 4 when it is stopped while it waits for a lock, with nothing half done', async () => {
    await using storage = await freshStorage(postgres!);
    await using server = await versionOne(storage);
    await using writer = await openSession(storage);
    await writer.script("begin; update clients set name = 'somebody writes'");
    const migration = spawnAuthserver(['migrate', '--no-backup'], { env: server.env });
    const said = text(migration.stderr!);
    const ended = once(migration, 'close');
    const waits =
      "select 1 from pg_stat_activity where application_name = 'authserver migrate' and wait_event_type = 'Lock'";
    await expect.poll(() => ask(storage, waits), { timeout: 10_000 }).toHaveLength(1);
    migration.kill('SIGTERM');
    expect(await ended).toEqual([4, null]);
    expect(await said).toMatch(/Stopped between two steps[\s\S]*Next: Run `authserver migrate` again/);
    await writer.script('rollback');
    expect(await ask(storage, 'select version from schema_migrations')).toHaveLength(1);
    expect((await server.cli(['migrate', '--no-backup'])).code).toBe(0);
  });

  it('is noticed by no server that runs: it stays ready on a newer schema, and only a new start is refused', async () => {
    await using storage = await freshStorage(postgres!);
    await using server = await TestServer.prepare({ storage });
    await server.start();
    await script(storage, "insert into schema_migrations values (9999, 'future', 'c', 1)");
    const ready = await fetch(`${server.url}/ready`);
    expect({ status: ready.status, body: await ready.json() }).toMatchObject({
      status: 200,
      body: { checks: { schema: { ok: true } } },
    });
    const told = await (await fetch(`${server.adminUrl}/metrics`)).text();
    expect(told).toContain('\nauthserver_schema_version 9999\n');
    expect(told).toContain('\nauthserver_schema_pending_steps 0\n');
    await server.stop();
    await expect(server.start()).rejects.toThrow(/ended with 3 [\s\S]*9999 \(future\)/);
  });

  it('ends a server that waits for it when another migrates to what that server must not touch', async () => {
    await using storage = await freshStorage(postgres!);
    await using server = await waitingServer(storage);
    await script(storage, "insert into schema_migrations values (9999, 'future', 'c', 1)");
    await expect(server.started).rejects.toThrow(/ended with 3 [\s\S]*9999 \(future\)/);
  });

  it('need not come for a waiting server to stop in good order', async () => {
    await using storage = await freshStorage(postgres!);
    await using server = await waitingServer(storage);
    expect(await server.stop()).toBe(0);
  });

  it('is waited for by serve, which leaves it to others unless the setting says so', async () => {
    await using storage = await freshStorage(postgres!);
    const port = await freePort();
    const env = { AUTHSERVER_SERVER_ADDRESS: `:${port}` };
    await using server = await TestServer.prepare({ storage, env });
    await server.start();
    await server.stop();
    await backToVersionOne(storage);
    const waiting = server.start();
    const ready = async () => (await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined))?.json();
    await expect
      .poll(ready, { timeout: 15_000 })
      .toMatchObject({ checks: { schema: { ok: false, problem: `pending steps: ${names}` } } });
    expect(server.log).toContain(`lacks schema steps: ${names}`);
    expect((await server.cli(['migrate', '--no-backup'])).code).toBe(0);
    await waiting;
    await server.stop();
  });
});

/** The same database for a connection with another search path, or of another role. */
function connectedBy(
  storage: FreshStorage,
  { schema, role }: { schema: string; role?: string },
): FreshStorage {
  if (storage.driver !== 'postgres') throw new Error('not PostgreSQL');
  const dsn = new URL(storage.dsn);
  if (role !== undefined) dsn.username = role;
  dsn.search = `?options=${encodeURIComponent(`-c search_path=${schema}`)}`;
  return { ...storage, dsn: dsn.href };
}

/** A server of version 2 on a database of version 1 that it must not migrate. */
async function waitingServer(storage: FreshStorage) {
  const server = await versionOne(storage);
  const started = server.start();
  started.catch(() => undefined);
  await expect.poll(() => server.log, { timeout: 15_000 }).toContain('lacks schema steps');
  return {
    started,
    stop: () => server.stop(),
    [Symbol.asyncDispose]: () => server.dispose(),
  };
}

/** The journal of a process that was killed while it wrote, and which the next one to open the database rolls back with. */
async function leaveHotJournal(database: string): Promise<void> {
  const source = `const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(${JSON.stringify(database)});
    db.exec('pragma cache_size = 1; begin; update users set profile_json = hex(zeroblob(20000)); update clients set name = hex(zeroblob(20000))');
    process.kill(process.pid, 'SIGKILL')`;
  await promisify(execFile)(process.execPath, ['-e', source]).catch(() => undefined);
  expect((await stat(`${database}-journal`)).size).toBeGreaterThan(512);
}

/** Types the commands of an undo, one after the other. */
async function carryOut(
  undo: Report['undo'],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  const commands = undo.flatMap(({ command }) => command ?? []);
  expect(commands.length).toBeGreaterThan(0);
  for (const command of commands) await promisify(execFile)('sh', ['-c', command], options);
}

/** pg_dump refuses a server that is newer than itself. */
async function hasDumpTools(storage: FreshStorage): Promise<boolean> {
  const [server] = await ask(storage, "select current_setting('server_version_num')::int / 10000 as major");
  try {
    const { stdout } = await promisify(execFile)('pg_dump', ['--version']);
    return Number(/\d+/.exec(stdout)?.[0]) >= Number(server?.['major']);
  } catch {
    return false;
  }
}
