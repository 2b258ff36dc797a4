// `authserver doctor` from outside: with a server, without one, without a database, and with what goes wrong.

import { chmod, mkdir, mkdtemp, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runSql } from '../purge/fixture.ts';
import { describeEngines, freshStorage, inTurn } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';
import { doctor, keyFileOf, prepare, read, runIn, served, withStatus } from './doctor.ts';

const TMPFS = 0x01021994;
const YEAR = 365 * 86_400_000;

describeEngines('authserver doctor', (engine) => {
  const story = inTurn(engine);
  /** What is as it is because this is a test. */
  const staged = async (server: TestServer) => [
    ...((await statfs(server.stateDir)).type === TMPFS ? ['file-systems'] : []),
    // The servers of the tests are to be fast, and the tools of this machine are its own.
    ...(engine.name === 'postgres' ? ['postgres-durability', 'postgres-tools'] : []),
  ];
  /** A new installation has not been backed up yet, or hardly. */
  const expected = [
    'backup-age',
    'backup-newest',
    'backup-targets',
    'recovery-key',
    'recovery-log',
    'drills',
  ];

  story('a sound installation only has to get its backups right, with a server and without one', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    await server.start();
    for (const serving of [true, false]) {
      if (!serving) await server.stop();
      const report = read(await server.cli(['doctor', '--json']));
      const others = [...expected, ...(await staged(server))];
      const troubles = [...withStatus(report, 'warn'), ...withStatus(report, 'fail')];
      expect(troubles.filter((check) => !others.includes(check))).toEqual([]);
      expect(withStatus(report, 'warn')).toEqual(
        expect.arrayContaining(['backup-targets', 'recovery-key', 'drills']),
      );
      const certain = [
        'database',
        'file-modes',
        'free-space',
        'keys',
        'clock',
        'audit-chain',
        'schedules',
        'limits',
      ];
      expect(withStatus(report, 'ok')).toEqual(expect.arrayContaining(certain));
      const engineOf = (check: string) => report.checks.get(check)?.status;
      expect(engineOf('sqlite-integrity')).toBe(engine.name === 'sqlite' ? 'ok' : 'skipped');
      expect(engineOf('postgres-version')).toBe(engine.name === 'sqlite' ? 'skipped' : 'ok');
    }
  });

  story('for people it is a line for each check, and what to do below it', async () => {
    await using storage = await freshStorage(engine);
    await using server = await served(storage);
    const { code, stdout, stderr } = await server.cli(['doctor', '--only', 'clock, recovery-key']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^ok {7}clock {9}the clock says .*\nWARN {5}recovery-key {2}nobody has confirmed .*\n {23}Find the recovery sheet .*\n$/,
    );
    expect(stderr).toBe('');
    await chmod(await keyFileOf(server), 0o644);
    const bad = await server.cli(['doctor', '--only=file-modes,clock']);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toMatch(
      /^FAIL {5}file-modes {2}the signing key .* open to every user .*\n.*chmod 600 /,
    );
    expect(bad.stderr).toMatch(/^Error: 1 of 2 checks failed\.$/m);
    const unknown = await server.cli(['doctor', '--only=file-mode']);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toMatch(/There is no check "file-mode"\.\n.*Did you mean file-modes\?/);
  });

  story('modes, a lost key and a key folder that is not there are told', async () => {
    await using storage = await freshStorage(engine);
    await using server = await served(storage);
    const key = await keyFileOf(server);
    await chmod(key, 0o644);
    await chmod(server.stateDir, 0o750);
    const open = await doctor(server, 'file-modes,keys');
    expect(open.checks.get('file-modes')?.finding).toContain(`${key} is open to every user`);
    expect(open.checks.get('file-modes')?.finding).toContain('the state directory');
    expect(open.checks.get('keys')?.hint).toContain('authserver keys rotate --compromised');
    await chmod(key, 0o600);
    await chmod(server.stateDir, 0o700);
    expect((await doctor(server, 'file-modes,keys')).code).toBe(0);
    await rename(key, `${key}.away`);
    const lost = await doctor(server, 'keys');
    expect(lost.checks.get('keys')).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining(`there is no ${key}`),
    });
    await rm(path.dirname(key), { recursive: true });
    const gone = await doctor(server, 'keys');
    expect(gone.checks.get('keys')?.finding).toBe(
      `the folder of the signing keys is not there: ${path.dirname(key)}`,
    );
  });

  story('while the database is away, the other checks go on', async () => {
    await using storage = await freshStorage(engine);
    await using server = await served(storage);
    const away: Record<string, string> =
      storage.driver === 'sqlite' ? {} : { AUTHSERVER_STORAGE_POSTGRES_DSN: 'postgres://u@127.0.0.1:1/gone' };
    if (storage.driver === 'sqlite') {
      for (const end of ['-wal', '-shm']) await rm(storage.path + end, { force: true });
      await writeFile(storage.path, Buffer.alloc(8192, 'this is no database '));
    }
    const env = { ...server.env, ...away };
    const report = read(await runIn(env, []));
    expect(report.checks.get('database')).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining('does not answer'),
      hint: expect.any(String),
    });
    expect(withStatus(report, 'ok')).toEqual(
      expect.arrayContaining(['file-modes', 'clock', 'admin-listener', 'limits', 'free-space']),
    );
    expect(withStatus(report, 'skipped')).toEqual(
      expect.arrayContaining(['keys', 'audit-chain', 'recovery-key']),
    );
    // Whose backups they are, the state directory knows too.
    expect(report.checks.get('backup-targets')?.status).toBe('warn');
  });

  story('a database of another deployment, or of a newer program, is not judged further', async () => {
    await using storage = await freshStorage(engine);
    await using server = await served(storage);
    await writeFile(path.join(server.stateDir, 'deployment'), 'dep_another\n');
    const other = await doctor(server, 'database,keys');
    expect(other.checks.get('database')?.finding).toMatch(/belongs to deployment dep_/);
    expect(other.checks.get('keys')?.status).toBe('skipped');
    await rm(path.join(server.stateDir, 'deployment'));
    await runSql(storage, "insert into schema_migrations values (999, 'of-tomorrow', 'x', 1)");
    const newer = await doctor(server, 'database');
    expect(newer.checks.get('database')?.finding).toMatch(/999 \(of-tomorrow\)/);
    await runSql(storage, 'delete from schema_migrations where version > 1');
    const older = await doctor(server, 'database,audit-chain');
    expect(older.checks.get('database')).toMatchObject({
      status: 'warn',
      finding: expect.stringMatching(/lacks schema steps: 2 \(day-two\)/),
    });
    expect(older.code).toBe(0);
  });

  story('a restore that was cut off is told, and nothing is made of what it has left', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await writeFile(path.join(server.stateDir, 'restore.json'), '{}');
    const { checks } = await doctor(server, 'database,audit-chain');
    expect(checks.get('database')).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining('was cut off'),
    });
    expect(checks.get('audit-chain')?.status).toBe('skipped');
  });

  story('copies that restores and upgrades have left are told with their sizes', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    const look = async () => (await doctor(server, 'safety-copies')).checks.get('safety-copies');
    expect((await look())?.status).toBe('ok');
    if (storage.driver === 'sqlite') {
      await writeFile(`${storage.path}.before-restore-1`, Buffer.alloc(2048));
      await writeFile(`${storage.path}.before-restore-1-wal`, Buffer.alloc(1024));
      await writeFile(`${storage.path}.before-2`, 'x');
    } else {
      await runSql(storage, 'create schema authserver_before_1');
      await runSql(storage, 'create table authserver_before_1.users as select generate_series(1, 1000)');
    }
    const left = await look();
    expect(left).toMatchObject({
      status: 'warn',
      hint: expect.stringContaining('authserver restore forget'),
    });
    expect(left?.finding).toMatch(
      engine.name === 'sqlite'
        ? /before-restore-1 \(3\.0 KiB\).*before-2 \(1 B\)/
        : /authserver_before_1 \(\d+\.\d KiB\)/,
    );
  });

  story('an audit event that was changed is named, and so are newest ones that were removed', async () => {
    await using storage = await freshStorage(engine);
    await using server = await served(storage);
    const [{ last = 0 } = {}] = await runSql(storage, 'select max(sequence) as last from audit_events');
    const newest = Number(last);
    const judged = async () => (await doctor(server, 'audit-chain')).checks.get('audit-chain');
    expect(await judged()).toMatchObject({
      status: 'ok',
      finding: `the chain of ${newest} audit events is whole`,
    });
    await runSql(storage, `update audit_events set actor = 'user:another' where sequence = ${newest}`);
    expect(await judged()).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining(`event ${newest} was changed`),
    });
    await runSql(storage, `delete from audit_events where sequence = ${newest}`);
    expect(await judged()).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining(`event ${newest} is missing`),
    });
  });

  story('a clock that is behind what is written down is told', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    await runSql(storage, `update schema_migrations set applied_at = ${Date.now() + YEAR}`);
    const { checks } = await doctor(server, 'clock');
    expect(checks.get('clock')).toMatchObject({
      status: 'fail',
      finding: expect.stringMatching(/the newest schema step is from .* 36[45] days later/),
    });
  });

  story('a target that does not answer, and a verified backup that is gone', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage);
    const folder = path.join(server.stateDir, 'elsewhere');
    await writeFile(folder, 'a file');
    const env = { AUTHSERVER_BACKUP_TARGETS: `away=${folder}` };
    const look = async () => (await doctor(server, 'backup-targets,backup-newest', env)).checks;
    expect((await look()).get('backup-targets')).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining(`away (${folder}) does not answer`),
    });
    await rm(folder);
    await mkdir(folder);
    const last = { id: 'b-1', at: Date.now(), made_at: Date.now(), rto_ms: 1, rows: 1, size: 1 };
    await runSql(
      storage,
      `insert into settings (name, value, updated_at) values ('backup.last_verified', '${JSON.stringify(last)}', 1)`,
    );
    expect((await look()).get('backup-newest')).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining('b-1, the last verified one, is on no target'),
    });
  });

  story('a target whose disk is not mounted any more, beside one that has everything', async () => {
    await using storage = await freshStorage(engine);
    const folder = await mkdtemp(path.join(tmpdir(), 'authserver-doctor-'));
    const away = path.join(folder, 'away');
    const env = { AUTHSERVER_BACKUP_TARGETS: `local=${path.join(folder, 'local')},away=${away}` };
    await using server = await TestServer.prepare({
      storage,
      env: { ...env, AUTHSERVER_BACKUP_SCHEDULE: 'off' },
    });
    const newest = async () => (await doctor(server, 'backup-newest')).checks.get('backup-newest');
    await server.start();
    await server.stop();
    await rm(folder, { recursive: true });
    // There is no backup yet, and no folder either.
    expect(await newest()).toMatchObject({ status: 'skipped' });
    const made = await server.cli(['backup', 'create', '--json']);
    expect(made.code, made.stderr).toBe(0);
    expect(await newest()).toMatchObject({ status: 'ok' });
    await rename(away, `${away}.elsewhere`);
    const lost = {
      status: 'warn',
      finding: expect.stringMatching(/^backup target away \(.*\/away\) has no backup, and the newest, /),
      hint: expect.stringContaining('Is its disk mounted'),
    };
    expect(await newest()).toMatchObject(lost);
    await mkdir(away);
    expect(await newest()).toMatchObject(lost);
    await rm(folder, { recursive: true });
  });

  story('a proven backup is seen, and whatever is taken away from it or from the log', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_RECOVERY_LOG: 'true' } });
    await server.start();
    const made = await server.cli(['backup', 'create']);
    expect(made.code, made.stderr).toBe(0);
    const whole = await doctor(server, 'backup-age,backup-newest,recovery-log');
    const statuses = [...whole.checks.values()].map(({ status }) => status);
    expect(statuses).toEqual(['ok', 'ok', engine.name === 'sqlite' ? 'ok' : 'warn']);
    await server.stop();
    const folder = path.join(server.stateDir, 'backups');
    const remove = async (name: RegExp) => {
      const found = (await readdir(folder)).sort().findLast((each) => name.test(each)) ?? '';
      expect(found).not.toBe('');
      await rm(path.join(folder, found));
    };
    await remove(/\.tar\.zst\.age$/);
    const { checks } = await doctor(server, 'backup-newest');
    expect(checks.get('backup-newest')).toMatchObject({
      status: 'fail',
      finding: expect.stringContaining('did not pass'),
    });
    if (engine.name !== 'sqlite') return;
    await remove(/^log\..*\.seg$/);
    const cut = await doctor(server, 'recovery-log');
    expect(cut.checks.get('recovery-log')).toMatchObject({
      status: 'fail',
      finding: expect.stringMatching(/damaged: batches .* are missing/),
    });
  });

  story('what others reach is a warning, what they can guess without end a failure', async () => {
    await using storage = await freshStorage(engine);
    await using server = await prepare(storage, { AUTHSERVER_ADMIN_ADDRESS: '0.0.0.0:0' });
    const exposed = await doctor(server, 'admin-listener,metrics,limits');
    expect(withStatus(exposed, 'warn')).toEqual(['admin-listener', 'metrics']);
    expect(exposed.code).toBe(0);
    const env = {
      ...server.env,
      AUTHSERVER_RATE_LIMIT_AUTH_FAIL_MAX: '0',
      AUTHSERVER_BACKUP_SCHEDULE: 'off',
      AUTHSERVER_BACKUP_PASSPHRASE: 'password password',
    };
    const open = await runIn(env, ['--only=limits,schedules,secrets']);
    expect(withStatus(read(open), 'fail')).toEqual(['schedules', 'limits', 'secrets']);
    expect(open.stdout + open.stderr).not.toContain('password password');
    const meet = { AUTHSERVER_BACKUP_SCHEDULE: '30 1 * * *', AUTHSERVER_DRILL_SCHEDULE: '30 1 1 * *' };
    expect(withStatus(await doctor(server, 'schedules', meet), 'warn')).toEqual(['schedules']);
    const part = { ...meet, AUTHSERVER_DRILL_SCHEDULE: '31 1 1 * *' };
    expect(withStatus(await doctor(server, 'schedules', part), 'ok')).toEqual(['schedules']);
  });

  story('settings that cannot work are told as everywhere else', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_ADMIN_API_KEY: 'changeme' } });
    const { code, stderr } = await server.cli(['doctor']);
    expect(code).toBe(2);
    expect(stderr).toContain('admin.api_key');
  });

  test.each([
    ['a secret in it', 'a-Token-of-32-Letters', 'fail'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the configuration file
    ['the name of a variable in it', '${SCRAPE}', 'ok'],
  ])('a configuration file with %s that everybody may read', async (_, token, status) => {
    await using storage = await freshStorage(engine);
    const config = { observability: { metrics: { token } } };
    const env = { SCRAPE: 'a-Token-of-32-Letters' };
    await using server = await TestServer.prepare({ storage, config, env });
    const file = path.join(server.stateDir, 'authserver.yaml');
    await chmod(file, 0o644);
    const { checks } = read(await runIn(server.env, ['--only=file-modes', '--config', file]));
    expect(checks.get('file-modes')?.status).toBe(status);
  });
});
