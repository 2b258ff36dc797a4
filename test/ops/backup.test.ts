// `authserver backup ...` from outside: the real command, with a server and without one.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { BUCKET, CREDENTIALS, startBucket } from '../../src/archive/targets/s3.test-kit.ts';
import type { CreateReport } from '../../src/ops/backup/create-report.ts';
import type { ListReport } from '../../src/ops/backup/list.ts';
import type { PruneReport } from '../../src/ops/backup/prune.ts';
import { readReceipts } from '../../src/ops/backup/receipts.ts';
import { runSql } from '../purge/fixture.ts';
import { describeEngines, freshStorage, inTurn } from '../setup/engines.ts';
import { migrateFresh } from '../setup/fresh-store.ts';
import { type Outcome, spawnAuthserver, startServer, TestServer } from '../setup/server.ts';

const SQLITE = { name: 'sqlite' } as const;
/** A backup with its proof takes some seconds where other tests run. */
const LONG = 120_000;

function read<Report>({ code, stdout, stderr }: Outcome, expected = 0): Report {
  expect(code, stderr + stdout).toBe(expected);
  return JSON.parse(stdout) as Report;
}

async function create(server: TestServer, args: readonly string[] = [], expected = 0): Promise<CreateReport> {
  return read<CreateReport>(await server.cli(['backup', 'create', '--json', ...args]), expected);
}

async function listed(server: TestServer, args: readonly string[] = []): Promise<ListReport> {
  return read<ListReport>(await server.cli(['backup', 'list', '--json', ...args]));
}

async function filesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith('log.')).sort();
}

async function sheetOf(server: TestServer): Promise<string> {
  const file = path.join(server.stateDir, 'sheet.txt');
  await writeFile(file, server.recoverySheet, { mode: 0o600 });
  return file;
}

describeEngines('authserver backup', (engine) => {
  const story = inTurn(engine);
  story(
    'is made through a server and without one, verified, listed, opens with age, zstd and tar, and answers /ready?ops',
    async () => {
      await using storage = await freshStorage(engine);
      await migrateFresh(storage);
      // An installation that has had time for a backup.
      await runSql(storage, 'update deployment set created_at = 1');
      await using server = await startServer({
        storage,
        env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' },
      });
      const ops = async () => (await fetch(`${server.url}/ready?ops`)).status;
      expect(await ops()).toBe(503);
      expect((await fetch(`${server.url}/ready`)).status).toBe(200);
      await server.cli(['admin', 'user', 'create', 'ada', '--no-password']);

      const first = await create(server, ['--tag', 'first']);
      expect(first).toMatchObject({
        outcome: 'verified',
        sequence: 1,
        targets: [{ target: 'local', outcome: 'verified' }],
        proof: { passed: true, findings: [] },
      });
      await expect.poll(ops, { timeout: 5000 }).toBe(200);
      await server.stop();
      const second = await create(server);
      expect(second).toMatchObject({ outcome: 'verified', sequence: 2 });

      const { items, targets } = await listed(server);
      expect(items.map(({ id, state, tags }) => [id, state, tags])).toEqual([
        [first.id, 'verified', ['first']],
        [second.id, 'verified', []],
      ]);
      expect(targets).toMatchObject([{ name: 'local', kind: 'file', problem: null }]);
      // Without the database, by the trust on the sheet.
      const sheet = await sheetOf(server);
      const elsewhere = await mkdtemp(path.join(tmpdir(), 'elsewhere-'));
      const away = await TestServer.prepare({
        storage: { ...storage, driver: 'sqlite', dir: elsewhere, path: path.join(elsewhere, 'none.db') },
        env: { AUTHSERVER_BACKUP_TARGETS: `local=${path.join(server.stateDir, 'backups')}` },
      });
      expect((await listed(away, ['--recovery-key', sheet])).items).toMatchObject([
        { id: first.id, state: 'verified' },
        { id: second.id, state: 'verified' },
      ]);
      await rm(elsewhere, { recursive: true });

      const archive = path.join(server.stateDir, 'backups', `${first.id}.tar.zst.age`);
      const out = path.join(server.stateDir, 'out');
      await mkdir(out);
      const script =
        'age --decrypt --identity "$1" "$2" | zstd --decompress --quiet | tar --extract --directory "$3"';
      execFileSync('bash', ['-euo', 'pipefail', '-c', script, 'bash', sheet, archive, out]);
      expect(await readFile(path.join(out, 'tables', 'users', '000001.ndjson'), 'utf8')).toContain('"ada"');
      const { keys } = JSON.parse(await readFile(path.join(out, 'manifest.json'), 'utf8'));
      for (const { kid } of keys.public)
        expect(await filesIn(path.join(out, 'keys'))).toContain(`${kid}.pem`);
      // Nothing else is left of any of it.
      expect(await filesIn(path.join(server.stateDir, 'spool'))).toEqual([]);
      expect(await filesIn(path.join(server.stateDir, 'scratch'))).toEqual([]);
    },
    LONG,
  );

  story(
    'the recovery key is confirmed by who has it, and replaced; what is remembered of it cannot open anything',
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await startServer({
        storage,
        env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' },
      });
      const key = (args: readonly string[], stdin?: string) =>
        server.cli(['backup', 'key', ...args, '--json'], stdin);
      const secret = /AGE-SECRET-KEY-1\S+/.exec(server.recoverySheet)?.[0] ?? '';
      expect(read(await key(['show']))).toMatchObject({ confirmed_at: null, encryption: 'age' });
      const other = execFileSync('age-keygen', { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
      expect((await key(['confirm'], other)).code).toBe(3);
      const mistyped = secret.slice(0, -1) + (secret.endsWith('X') ? 'Y' : 'X');
      expect((await key(['confirm'], mistyped)).code).toBe(2);
      const confirmed = read<{ recipient: string }>(await key(['confirm'], secret));
      expect(confirmed).toMatchObject({ confirmed_at: expect.any(Number) });
      expect(server.recoverySheet).toContain(confirmed.recipient);

      const replaced = read<{ recipient: string; recovery_sheet: string }>(await key(['replace', '--yes']));
      expect(replaced).toMatchObject({ confirmed_at: null });
      expect(replaced.recipient).not.toBe(confirmed.recipient);
      expect((await key(['confirm'], secret)).code).toBe(3);
      expect(read(await key(['confirm'], replaced.recovery_sheet))).toMatchObject({
        recipient: replaced.recipient,
      });
      const { encryption } = await create(server, ['--no-verify']);
      expect(encryption?.recipients).toEqual([replaced.recipient]);
      const settings = JSON.stringify(await runSql(storage, 'select * from settings'));
      expect(settings).toContain(replaced.recipient);
      expect(settings).not.toContain('AGE-SECRET-KEY');
    },
    LONG,
  );

  story(
    'the first start shows the recovery key once, and it is nowhere else: in no log, no file, no later start',
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await startServer({ storage });
      const secret = /AGE-SECRET-KEY-1[A-Z0-9]+/.exec(server.recoverySheet)?.[0] ?? 'none';
      expect(server.output).toContain(secret);
      await create(server);
      const until = server.output.length;
      await server.stop();
      await server.start();
      expect(server.output.length).toBeGreaterThan(until);
      expect(server.output.slice(until)).not.toMatch(/AGE-SECRET-KEY|recovery_|admin_api_key/);
      expect(server.log).not.toContain(secret);
      expect(JSON.stringify(await runSql(storage, 'select * from settings'))).not.toContain(secret);
      for (const entry of await readdir(server.stateDir, { recursive: true, withFileTypes: true })) {
        const file = path.join(entry.parentPath, entry.name);
        if (!entry.isFile()) continue;
        expect((await readFile(file)).includes(secret), file).toBe(false);
        if (file.endsWith('.pem')) expect((await stat(file)).mode & 0o077, file).toBe(0);
      }
    },
    LONG,
  );

  story(
    'a first start that fails on a port that is taken shows its keys to nobody, and so the next one does',
    async () => {
      await using storage = await freshStorage(engine);
      const squatter = createServer().listen(0, '127.0.0.1');
      await once(squatter, 'listening');
      const { port } = squatter.address() as AddressInfo;
      const env = { AUTHSERVER_SERVER_ADDRESS: `127.0.0.1:${port}` };
      await using server = await TestServer.prepare({ storage, env });
      await expect(server.start()).rejects.toThrow(/ended/);
      squatter.close();
      await once(squatter, 'close');
      await server.start();
      expect(server.recoverySheet).toContain('AGE-SECRET-KEY-1');
      expect(server.adminApiKey).toMatch(/./);
      expect((await create(server)).outcome).toBe('verified');
    },
    LONG,
  );

  story(
    'a recovery key whose sheet cannot be written does not replace the one there is; its public part is printed anew at will',
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await startServer({ storage });
      const show = async () =>
        read<{ recipient: string }>(await server.cli(['backup', 'key', 'show', '--json']));
      const { recipient } = await show();
      const child = spawnAuthserver(['backup', 'key', 'replace', '--yes'], { env: server.env });
      // Whoever was to read the sheet is gone.
      child.stdout?.destroy();
      const errors = gather(child.stderr);
      const [code] = await once(child, 'close');
      expect(code, await errors).toBe(2);
      expect(await errors).toContain('was not replaced');
      expect((await show()).recipient).toBe(recipient);

      const { code: shown, stdout: sheet } = await server.cli(['backup', 'key', 'show', '--sheet']);
      expect(shown).toBe(0);
      const lines = (text: string) =>
        text.split('\n').filter((line) => /^# (deployment|signer|public key):/.test(line));
      expect(lines(sheet)).toEqual(lines(server.recoverySheet));
      expect(sheet).not.toContain('AGE-SECRET-KEY');
    },
    LONG,
  );

  story(
    'prune says why, removes what no rule keeps, leaves a receipt, and stops where a person has to look',
    async () => {
      await using storage = await freshStorage(engine);
      const keep = { LAST: '1', DAILY: '0', WEEKLY: '0', MONTHLY: '0' };
      const rules = Object.entries(keep).map(([name, value]) => [`AUTHSERVER_BACKUP_KEEP_${name}`, value]);
      const env = { ...Object.fromEntries(rules), AUTHSERVER_BACKUP_MINIMUM: '1' };
      await using server = await startServer({ storage, env });
      const ids = [];
      for (let made = 0; made < 4; made++) ids.push((await create(server)).id);
      const pinned = String(ids[0]);
      read(await server.cli(['backup', 'pin', pinned, '--reason', 'for ever', '--json']));
      const prune = async (args: readonly string[], expected = 0) =>
        read<PruneReport>(await server.cli(['backup', 'prune', '--json', ...args]), expected).targets[0];

      const planned = await prune(['--dry-run']);
      expect(planned?.decisions.map(({ id, keeps }) => [id, keeps])).toEqual([
        [ids[3], true],
        [ids[2], false],
        [ids[1], false],
        [ids[0], true],
      ]);
      expect(planned?.removed).toEqual([]);
      expect((await listed(server)).items).toHaveLength(4);
      expect((await prune([]))?.removed).toEqual([ids[1], ids[2]]);
      expect((await listed(server)).items.map(({ id, pinned: is, reason }) => [id, is, reason])).toEqual([
        [ids[0], true, 'for ever'],
        [ids[3], false, null],
      ]);
      const { receipts, isWhole } = readReceipts(
        await readFile(path.join(server.stateDir, 'receipts.ndjson'), 'utf8'),
      );
      expect([receipts.map(({ id }) => id), isWhole]).toEqual([[ids[1], ids[2]], true]);
      const events = await runSql(
        storage,
        "select detail_json from audit_events where action = 'backup.removed'",
      );
      expect(events).toHaveLength(2);

      // Most of what was kept is gone: somebody has to look, elsewhere too.
      await runSql(storage, "update settings set value = '7' where name = 'backup.kept.local'");
      read(await server.cli(['backup', 'unpin', pinned, '--json']));
      expect(await prune([], 3)).toMatchObject({ outcome: 'stopped', removed: [] });
      expect((await prune(['--accept', 'kept_set_shrinks']))?.removed).toEqual([ids[0]]);
    },
    LONG,
  );
});

describe('authserver backup, whatever the engine (needs the sqlite engine)', () => {
  test(
    'one target that fails keeps nobody from the others; a bucket is one of them, and prune runs elsewhere',
    async () => {
      await using storage = await freshStorage(SQLITE);
      await using bucket = await startBucket();
      const broken = path.join(storage.driver === 'sqlite' ? storage.dir : '', 'a-file');
      await writeFile(broken, '');
      const away = `away=s3://${BUCKET}/auth?endpoint=${encodeURIComponent(bucket.endpoint)}&path_style=true&keep=last:1`;
      const env = {
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
        AUTHSERVER_BACKUP_TARGETS: `local=${broken}, ${away}`,
        AUTHSERVER_BACKUP_MINIMUM: '1',
      };
      await using server = await startServer({ storage, env });
      const made = await create(server, [], 1);
      expect(made).toMatchObject({
        outcome: 'failed',
        proof: { passed: true },
        targets: [
          { target: 'local', outcome: 'failed', reason: expect.stringContaining('cannot be used') },
          { target: 'away', outcome: 'verified', reason: null },
        ],
      });
      const { items, targets } = await listed(server);
      expect(items).toMatchObject([{ id: made.id, state: 'verified', copies: [{ target: 'away' }] }]);
      expect(targets[0]?.problem).toEqual(expect.any(String));
      const good = await create(server, ['--target', 'away']);

      // Elsewhere: other credentials, no database, no server; only the public part of the sheet.
      const sheet = path.join(server.stateDir, 'public-part.txt');
      await writeFile(sheet, server.recoverySheet.replace(/^AGE-SECRET.*\n/m, ''));
      const stateDir = await mkdtemp(path.join(tmpdir(), 'pruner-'));
      const pruner = spawnAuthserver(['backup', 'prune', '--json', '--recovery-key', sheet], {
        env: { ...env, AUTHSERVER_BACKUP_TARGETS: away, AUTHSERVER_STATE_DIR: stateDir },
      });
      const [out, err] = await Promise.all([gather(pruner.stdout), gather(pruner.stderr)]);
      expect(JSON.parse(out || err)).toMatchObject({ targets: [{ target: 'away', removed: [made.id] }] });
      expect(
        readReceipts(await readFile(path.join(stateDir, 'receipts.ndjson'), 'utf8')).receipts,
      ).toHaveLength(1);
      await rm(stateDir, { recursive: true });
      expect((await listed(server, ['--target', 'away'])).items).toMatchObject([{ id: good.id }]);
    },
    LONG,
  );

  test(
    'stopped while it goes to a target it leaves nothing anywhere; killed it leaves what the next one sweeps',
    async () => {
      await using storage = await freshStorage(SQLITE);
      await migrateFresh(storage);
      await using bucket = await startBucket();
      const folder = path.join(storage.driver === 'sqlite' ? storage.dir : '', 'backups');
      const env = {
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
        AUTHSERVER_BACKUP_TARGETS: `local=${folder},away=s3://${BUCKET}/?endpoint=${encodeURIComponent(bucket.endpoint)}&path_style=true`,
      };
      await using server = await TestServer.prepare({ storage, env });
      read(await server.cli(['backup', 'key', 'replace', '--yes', '--json']));
      const spool = path.join(server.stateDir, 'spool');
      // The bucket takes the archive and never answers, as one does whose network is gone.
      bucket.fate = ({ method }) => (method === 'PUT' ? 'hang' : 'pass');
      for (const signal of ['SIGINT', 'SIGHUP', 'SIGKILL'] as const) {
        const before = bucket.seen.length;
        const child = spawnAuthserver(['backup', 'create', '--json'], { env: server.env });
        const closed = once(child, 'close');
        const errors = gather(child.stderr);
        while (
          !bucket.seen.slice(before).some(({ method }) => method === 'PUT') ||
          (await filesIn(folder)).length === 0
        ) {
          if (child.exitCode !== null) expect.unreachable(await errors);
          await sleep(20);
        }
        expect(await filesIn(spool)).toHaveLength(1);
        child.kill(signal);
        const [code] = await closed;
        if (signal !== 'SIGKILL') {
          expect(code, await errors).toBe(4);
          expect(await filesIn(folder)).toEqual([]);
          expect(await filesIn(spool)).toEqual([]);
        }
      }
      expect(await filesIn(spool)).toHaveLength(1);
      bucket.fate = () => 'pass';
      // The dead one's lease runs out by itself; nobody waits for a minute here.
      await runSql(storage, "delete from leases where name = 'backup'");
      // The keys of the bucket are in its environment.
      const made = read<CreateReport>(await server.process(['backup', 'create', '--json', '--no-verify']));
      expect(await filesIn(spool)).toEqual([]);
      expect(made.targets.map(({ outcome }) => outcome)).toEqual(['published', 'published']);
    },
    LONG,
  );

  test(
    'the heartbeat is heard after a verified backup and after no other; plain text has to be said',
    async () => {
      await using storage = await freshStorage(SQLITE);
      let beats = 0;
      const listener = createServer((_, answer) => {
        beats += 1;
        answer.end();
      }).listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const { port } = listener.address() as AddressInfo;
      const env = { AUTHSERVER_BACKUP_HEARTBEAT_URL: `http://127.0.0.1:${port}/ping` };
      await using server = await startServer({ storage, env });
      expect((await create(server, ['--no-verify'])).outcome).toBe('made');
      expect(beats).toBe(0);
      const { encryption, outcome, id } = await create(server, ['--plaintext']);
      expect([encryption?.kind, outcome, beats]).toEqual(['none', 'verified', 1]);
      expect(await filesIn(path.join(server.stateDir, 'backups'))).toContain(`${id}.tar.zst`);
      listener.close();
      // Over the network nobody makes one that everybody can read.
      const answer = await fetch(`${server.adminUrl}/admin/backups`, {
        method: 'POST',
        headers: { authorization: `Bearer ${server.adminApiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ plaintext: true }),
      });
      expect(await answer.text()).toContain('"forbidden"');
    },
    LONG,
  );

  test('settings that cannot work are refused with their reason', async () => {
    await using storage = await freshStorage(SQLITE);
    const refused = async (env: Readonly<Record<string, string>>) => {
      await using server = await TestServer.prepare({ storage, env });
      const { code, stderr } = await server.cli(['config', 'check']);
      expect(code, stderr).toBe(2);
      return stderr;
    };
    const name = (key: string) => `AUTHSERVER_BACKUP_${key}`;
    expect(await refused({ [name('TARGETS')]: 's3=s3://b/?lok=governance:1d' })).toMatch(
      /"lok", which is none of/,
    );
    expect(await refused({ [name('TARGETS')]: 'a=s3://key:secret@b/' })).not.toContain('secret@');
    expect(await refused({ [name('TARGETS')]: 'a=/x,a=/y' })).toMatch(/holds a twice/);
    expect(await refused({ [name('SCHEDULE')]: '99 * * * *' })).toMatch(/is no cron schedule/);
    expect(await refused({ [name('RECIPIENTS')]: 'AGE-SECRET-KEY-1QQQ' })).toMatch(/holds a secret key/);
    const passphrase = { [name('PASSPHRASE')]: 'correct horse battery' };
    expect(await refused({ ...passphrase, [name('PLAINTEXT')]: 'true' })).toMatch(/are of no use/);
  });
});

async function gather(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}
