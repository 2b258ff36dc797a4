// A server from outside: first and second start, readiness, signals, the lock, the socket, what happens when parts are missing.

import { once } from 'node:events';
import { access, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, test } from 'vitest';
import { query } from '../setup/cluster.ts';
import { answerOf as reportOf } from '../setup/command.ts';
import { describeEngines, engines, freshStorage, inTurn, ownPostgres } from '../setup/engines.ts';
import { freePort } from '../setup/free-port.ts';
import { migrateFresh } from '../setup/fresh-store.ts';
import { authserver, spawnAuthserver, startServer, TestServer } from '../setup/server.ts';

const [sqlite, postgres] = (['sqlite', 'postgres'] as const).map((name) =>
  engines.find((engine) => engine.name === name),
);

/** For what has nothing to do with the database. */
const anyEngine = engines[0]!;

async function answerOf(url: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** Opens a request that the server has begun to read but cannot answer yet; `finish` sends the rest. */
async function slowRequest(server: TestServer) {
  const { port, hostname } = new URL(server.url);
  const body = 'token=x';
  const socket = connect({ port: Number(port), host: hostname });
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString();
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.write(
    `POST /oauth/revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
  );
  // The server says so once it has the request in hand; on a busy machine no wait would be long enough to be sure.
  while (!answer.includes('100 Continue')) await sleep(5);
  answer = '';
  socket.write(body.slice(0, 1));
  return {
    async finish(): Promise<string> {
      socket.write(body.slice(1));
      await closed;
      return answer;
    },
  };
}

describeEngines('serve', (engine) => {
  const story = inTurn(engine);
  story('the first start makes everything and prints the key once; the second prints no secret', async () => {
    await using storage = await freshStorage(engine);
    await using server = await startServer({ storage });
    const key = server.adminApiKey;
    expect(key).toMatch(/^[\w-]{43}$/);
    const withKey = { headers: { authorization: `Bearer ${key}` } };
    expect((await fetch(`${server.adminUrl}/admin/status`, withKey)).status).toBe(200);
    expect((await fetch(`${server.adminUrl}/admin/status`)).status).toBe(401);

    expect(await server.stop()).toBe(0);
    await server.start();
    expect(server.adminApiKey).toBe(key);
    expect((await fetch(`${server.adminUrl}/admin/status`, withKey)).status).toBe(200);
    expect(server.log).not.toContain(key);
    expect(server.log.match(/made the first signing key/g)).toHaveLength(1);
  });

  story('a first start beside backups that it has not made says how a lost server comes back', async () => {
    await using lost = await freshStorage(engine);
    await using empty = await freshStorage(engine);
    await migrateFresh(lost);
    await using old = await TestServer.prepare({
      storage: lost,
      env: { AUTHSERVER_BACKUP_PLAINTEXT: 'true' },
    });
    expect((await old.cli(['admin', 'user', 'create', 'ada', '--no-password'])).code).toBe(0);
    const { id } = reportOf(await old.cli(['backup', 'create', '--json']));
    const env = { AUTHSERVER_BACKUP_TARGETS: `local=${path.join(old.stateDir, 'backups')}` };
    await using server = await TestServer.prepare({ storage: empty, env });
    const child = spawnAuthserver(['serve'], { env: server.env });
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await expect.poll(() => said, { timeout: 15_000 }).toContain('Stop the server');
    child.kill();
    await once(child, 'close');
    expect(said).toMatch(/Attention: .*local \(.*backups\) holds 1, the newest /);
    expect(said).toContain(id);
    expect(said).toContain('authserver restore --latest --recovery-key FILE');
    // From then on the database is not new; and neither is one that came out of a backup.
    await server.start();
    await server.stop();
    expect((await old.cli(['restore', id, '--yes'])).code).toBe(0);
    await old.start();
    expect(old.adminApiKey).not.toBe('');
    for (const { output } of [server, old]) expect(output).not.toContain('other_backups');
  });

  story('it is ready when it says so, tells where it is, and SIGHUP does not end it', async () => {
    await using storage = await freshStorage(engine);
    await using server = await startServer({ storage });
    expect(server.issuer).toBe(`http://localhost:${new URL(server.url).port}`);
    expect(JSON.parse(await readFile(path.join(server.stateDir, 'ready.json'), 'utf8'))).toMatchObject({
      url: server.url,
      pid: server.pid,
    });
    for (const base of [server.url, server.adminUrl]) {
      expect(await answerOf(`${base}/livez`)).toMatchObject({ status: 200 });
      expect(await answerOf(`${base}/health`)).toMatchObject({ status: 200, body: { database: 'ok' } });
      const checks = { database: { ok: true }, schema: { ok: true }, keys: { ok: true } };
      expect(await answerOf(`${base}/ready`)).toEqual({ status: 200, body: { status: 'ready', checks } });
    }
    const discovery = await answerOf(`${server.url}/.well-known/openid-configuration`);
    expect(discovery.body['issuer']).toBe(server.issuer);

    process.kill(server.pid, 'SIGHUP');
    await sleep(100);
    expect((await answerOf(`${server.url}/ready`)).status).toBe(200);
  });

  story(
    'SIGTERM lets a request under way finish, then ends with 0 and leaves nothing that looks alive',
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await startServer({ storage });
      const request = await slowRequest(server);
      const stopped = server.stop();
      await sleep(200);
      await expect(fetch(`${server.url}/livez`)).rejects.toThrow();
      expect(await request.finish()).toMatch(/^HTTP\/1\.1 401 /);
      expect(await stopped).toBe(0);
      const left = await readdir(server.stateDir);
      for (const name of ['ready.json', 'admin.sock']) expect(left).not.toContain(name);
    },
  );

  story('after SIGKILL the next start needs no help', async () => {
    await using storage = await freshStorage(engine);
    await using server = await startServer({ storage });
    const { url } = server;
    await server.kill();
    await access(path.join(server.stateDir, 'ready.json'));
    await server.start();
    expect(server.url).toBe(url);
    expect((await answerOf(`${url}/ready`)).status).toBe(200);
  });

  story('a second server on the same state directory is refused and told whose it is', async () => {
    await using storage = await freshStorage(engine);
    await using server = await startServer({ storage });
    const second = await server.cli(['serve']);
    expect(second).toMatchObject({ code: 3, stdout: '' });
    expect(second.stderr).toContain(
      `The state directory ${server.stateDir} belongs to process ${server.pid}.`,
    );
    expect((await answerOf(`${server.url}/ready`)).status).toBe(200);
  });

  story('a lost signing key stops the start with its name; nothing is made in its place', async () => {
    await using storage = await freshStorage(engine);
    await using server = await startServer({ storage });
    await server.stop();
    const keys = path.join(server.stateDir, 'keys');
    const [file = ''] = await readdir(keys);
    await rename(path.join(keys, file), path.join(server.stateDir, file));
    const { code, stderr } = await server.cli(['serve']);
    expect(code).toBe(2);
    expect(stderr).toContain(file.replace('.pem', ''));
    expect(await readdir(keys)).toEqual([]);
    await rename(path.join(server.stateDir, file), path.join(keys, file));
    await server.start();
  });

  story('commands work on the same data while the server runs and while it does not', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    expect((await server.cli(['migrate'])).code).toBe(0);
    const create = (name: string) =>
      server.cli(['admin', 'user', 'create', name, '--password-stdin', '--json'], 'correct horse battery');
    expect((await create('before')).code).toBe(0);
    await server.start();
    expect((await create('during')).code).toBe(0);
    await server.stop();
    expect((await create('after')).code).toBe(0);
    const { stdout } = await server.cli(['admin', 'user', 'list', '--json']);
    const names = JSON.parse(stdout).items.map(({ username }: { username: string }) => username);
    expect(names.sort()).toEqual(['after', 'before', 'during']);
    expect((await create('after')).code).toBe(7);
    expect((await server.cli(['admin', 'user', 'show', 'nobody'])).code).toBe(6);
  });
});

test('a request that never finishes is cut off after server.shutdown_wait', async () => {
  await using storage = await freshStorage(anyEngine);
  await using server = await startServer({ storage, env: { AUTHSERVER_SERVER_SHUTDOWN_WAIT: '300ms' } });
  await slowRequest(server);
  const begin = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - begin).toBeLessThan(5000);
  expect(server.log).toContain('were cut off');
});

test('a second signal ends it at once with 4', async () => {
  await using storage = await freshStorage(anyEngine);
  await using server = await startServer({ storage });
  await slowRequest(server);
  const stopped = server.stop();
  await sleep(700);
  process.kill(server.pid, 'SIGTERM');
  expect(await stopped).toBe(4);
});

test('a port that is taken is named, with the key that changes it', async () => {
  await using storage = await freshStorage(anyEngine);
  await using server = await startServer({ storage });
  await using other = await freshStorage(anyEngine);
  const rival = await TestServer.prepare({
    storage: other,
    env: { AUTHSERVER_SERVER_ADDRESS: `:${new URL(server.url).port}` },
  });
  const { code, stderr } = await rival.cli(['serve']);
  await rival.dispose();
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /Cannot listen on 127\.0\.0\.1:\d+\.[\s\S]*choose another port with server\.address/,
  );
});

it.skipIf(!sqlite)('everything it keeps is for its owner alone (needs the sqlite engine)', async () => {
  await using storage = await freshStorage(sqlite!);
  await using server = await startServer({ storage });
  for (const name of await readdir(server.stateDir)) {
    const { mode } = await stat(path.join(server.stateDir, name));
    expect(mode & 0o077, name).toBe(0);
  }
});

it.skipIf(!sqlite)(
  'a state directory deep in the tree still has its socket (needs the sqlite engine)',
  async () => {
    await using storage = await freshStorage(sqlite!);
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    const dir = path.join(storage.dir, 'a-long-name-'.repeat(12));
    await mkdir(dir);
    await using server = await startServer({ storage: { ...storage, dir } });
    const { code, stdout } = await server.cli(['admin', 'user', 'list', '--json']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '{"items":[]}\n' });
    const outside = (await readFile(path.join(dir, 'admin.sock.path'), 'utf8')).trim();
    await server.stop();
    await expect(access(path.dirname(outside))).rejects.toThrow('ENOENT');

    // Whatever that file says, nothing but a socket is removed.
    const precious = path.join(dir, 'precious');
    await mkdir(precious);
    await writeFile(path.join(precious, 'admin.sock'), 'not a socket');
    await writeFile(path.join(dir, 'admin.sock.path'), path.join(precious, 'admin.sock'));
    await server.start();
    await server.stop();
    expect(await readdir(precious)).toEqual(['admin.sock']);
  },
);

it.skipIf(!sqlite)(
  'two state directories cannot share one database file (needs the sqlite engine)',
  async () => {
    await using storage = await freshStorage(sqlite!);
    await using elsewhere = await freshStorage(sqlite!);
    if (storage.driver !== 'sqlite') throw new Error('not SQLite');
    const env = { AUTHSERVER_STORAGE_SQLITE_PATH: path.join(storage.dir, 'shared', 'authserver.db') };
    await using first = await startServer({ storage, env });
    await using second = await TestServer.prepare({ storage: elsewhere, env });
    expect((await second.cli(['serve'])).code).toBe(3);
    expect((await answerOf(`${first.url}/ready`)).status).toBe(200);
  },
);

it.skipIf(!sqlite)(
  'migrate has nothing against a server that runs on a current schema (needs the sqlite engine)',
  async () => {
    await using storage = await freshStorage(sqlite!);
    await using server = await startServer({ storage });
    const { code, stdout } = await server.cli(['migrate']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'The schema is up to date.\n' });
  },
);

it.skipIf(!postgres)(
  'without leave to migrate it is alive, names what is missing, and begins once somebody has migrated (needs the postgres engine)',
  async () => {
    await using storage = await freshStorage(postgres!);
    const port = await freePort();
    const env = { AUTHSERVER_STORAGE_AUTO_MIGRATE: 'false', AUTHSERVER_SERVER_ADDRESS: `:${port}` };
    await using server = await TestServer.prepare({ storage, env });
    const refused = await server.cli(['admin', 'user', 'list']);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(
      /lacks schema steps: 1 \(foundation\)[\s\S]*authserver migrate[\s\S]*restore --latest --recovery-key/,
    );

    const started = server.start();
    await expect.poll(() => server.log, { timeout: 10_000 }).toContain('lacks schema steps: 1 (foundation)');
    const url = `http://127.0.0.1:${port}`;
    const alive = async () => (await fetch(`${url}/livez`).catch(() => undefined))?.status;
    await expect.poll(alive, { timeout: 10_000 }).toBe(200);
    expect((await answerOf(`${url}/health`)).body).toMatchObject({ status: 'ok', database: 'ok' });
    const waiting = await answerOf(`${url}/ready`);
    expect(waiting.status).toBe(503);
    expect(waiting.body).toMatchObject({
      checks: {
        database: { ok: true },
        schema: { ok: false, problem: expect.stringContaining('1 (foundation)') },
      },
    });
    expect((await server.cli(['migrate'])).code).toBe(0);
    await started;
    expect((await answerOf(`${server.url}/ready`)).status).toBe(200);
  },
);

it.skipIf(!postgres)(
  'a database that goes away is told by /ready and comes back by itself (needs the postgres engine)',
  async () => {
    const cluster = await ownPostgres();
    await query(cluster.dsn(), 'create database authserver');
    const storage = { driver: 'postgres', dsn: cluster.dsn('authserver') } as Awaited<
      ReturnType<typeof freshStorage>
    >;
    await using server = await startServer({ storage });
    await cluster.stop('immediate');
    await expect
      .poll(async () => (await answerOf(`${server.url}/ready`)).status, { timeout: 15_000 })
      .toBe(503);
    expect((await answerOf(`${server.url}/health`)).body).toMatchObject({ database: 'unavailable' });
    expect((await answerOf(`${server.url}/livez`)).status).toBe(200);
    await cluster.start();
    await expect
      .poll(async () => (await answerOf(`${server.url}/ready`)).status, { timeout: 15_000 })
      .toBe(200);
    await server.dispose();
    await cluster.dispose();
  },
);

test('a state directory that cannot be made is named', async () => {
  const { code, stderr } = await authserver(['serve'], {
    env: { AUTHSERVER_STATE_DIR: '/dev/null/nowhere' },
  });
  expect(code).toBe(2);
  expect(stderr).toContain('cannot keep its state in /dev/null/nowhere');
});
