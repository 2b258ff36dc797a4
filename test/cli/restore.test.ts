// The whole story on the command line: a server with people and clients, a backup while it serves, a disaster, a restore, and
// everybody back; then the way back, and the other engine.

import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import type { RestoreReceipt } from '../../src/ops/restore/receipt.ts';
import { Operator } from '../clients/operator.ts';
import { type Account, Person } from '../clients/person.ts';
import { query } from '../setup/cluster.ts';
import { describeEngines, engines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { type Outcome, TestServer } from '../setup/server.ts';

const PATIENCE = 180_000;
const ADA: Account = { username: 'ada', password: 'correct horse battery staple' };
const BOB: Account = { username: 'bob', password: 'another good password' };
const EVE: Account = { username: 'eve', password: 'a password of one who leaves' };
const API = 'https://api.example/notes';
const SECRET = 'a-client-secret-of-more-than-32-characters';

function done({ code, stdout, stderr }: Outcome): string {
  expect(code, stderr).toBe(0);
  return stdout;
}

async function metadataOf(server: TestServer): Promise<Record<string, string>> {
  const response = await fetch(`${server.issuer}/.well-known/openid-configuration`);
  return (await response.json()) as Record<string, string>;
}

async function tokenOf(server: TestServer, clientId: string): Promise<Response> {
  const form = {
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: SECRET,
    resource: API,
  };
  const { token_endpoint = '' } = await metadataOf(server);
  return fetch(token_endpoint, { method: 'POST', body: new URLSearchParams(form) });
}

async function signsIn(server: TestServer, account: Account): Promise<boolean> {
  return new Person(server.issuer, account).signIn(server.issuer).then(
    () => true,
    () => false,
  );
}

/** Nothing of the database is left. */
async function destroy(server: TestServer, storage: FreshStorage): Promise<void> {
  if (storage.driver === 'postgres')
    await query(storage.dsn, 'drop schema public cascade; create schema public');
  else for (const suffix of ['', '-wal', '-shm']) await rm(storage.path + suffix, { force: true });
  await rm(path.join(server.stateDir, 'keys'), { recursive: true });
}

describeEngines('authserver restore', (engine) => {
  test('brings everybody back after a disaster, but for those who were shut out since', {
    timeout: PATIENCE,
  }, async () => {
    await using storage = await freshStorage(engine);
    // On PostgreSQL, too, it carries what was taken away.
    await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_RECOVERY_LOG: 'true' } });
    await server.start();
    const operator = new Operator(server);
    for (const account of [ADA, EVE]) await operator.user(account);
    await operator.resource(API, ['read']);
    const { client_id } = await operator.client({
      client_secret: SECRET,
      kind: 'service',
      scope: 'read',
      token_endpoint_auth_method: 'client_secret_post',
    });
    const issued = await tokenOf(server, client_id);
    const { access_token: before = '' } = (await issued.json()) as { access_token?: string };
    expect(issued.status).toBe(200);
    const sheet = path.join(server.stateDir, 'sheet.txt');
    await writeFile(sheet, server.recoverySheet);
    const made = JSON.parse(done(await server.cli(['backup', 'create', '--json'])));
    expect(made.outcome).toBe('verified');
    await operator.user(BOB);
    done(await server.cli(['admin', 'user', 'disable', 'eve']));

    const running = await server.cli(['restore', '--latest', '--recovery-key', sheet, '--yes']);
    expect(running).toMatchObject({ code: 3, stdout: '' });
    expect(running.stderr).toMatch(/A server runs on[\s\S]*Next: Stop it/);
    await server.stop();
    await destroy(server, storage);

    const asked = ['restore', made.id as string, '--recovery-key', sheet];
    expect((await server.cli(asked.slice(0, 2))).stderr).toMatch(/encrypted to: age1[\s\S]*--recovery-key/);
    const plan = await server.cli([...asked, '--plan', '--json']);
    expect(JSON.parse(done(plan))).toMatchObject({ backup: { id: made.id }, obstacles: [], sessions: 'end' });
    expect((await server.cli(asked, '')).stderr).toContain('Nobody is there to answer');
    const restored = await server.process([...asked, '--yes', '--json']);
    const receipt = JSON.parse(done(restored)) as RestoreReceipt;
    expect(receipt).toMatchObject({ from: made.id, lost: { from: expect.any(Number) } });
    if (storage.driver === 'sqlite') expect((await stat(storage.path)).mode & 0o077).toBe(0);

    await server.start();
    expect(await signsIn(server, ADA)).toBe(true);
    // What was done since is known from the log beside the backups, though the database was lost.
    expect(await signsIn(server, EVE)).toBe(false);
    expect(await signsIn(server, BOB)).toBe(false);
    const keys = createRemoteJWKSet(new URL((await metadataOf(server))['jwks_uri']!));
    expect((await jwtVerify(before, keys)).payload['client_id']).toBe(client_id);
    expect((await tokenOf(server, client_id)).status).toBe(200);
    expect(JSON.parse(done(await server.cli(['keys', 'verify', '--json']))).ok).toBe(true);
    const paper = await readFile(path.join(server.stateDir, 'receipts', `restore-${receipt.id}.txt`), 'utf8');
    expect(paper).toContain(`Restored from backup ${made.id}`);
  });

  test('is taken back by undo, and forgotten', { timeout: PATIENCE }, async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    await server.start();
    const sheet = path.join(server.stateDir, 'sheet.txt');
    await writeFile(sheet, server.recoverySheet);
    const operator = new Operator(server);
    await operator.user(ADA);
    const made = JSON.parse(done(await server.cli(['backup', 'create', '--json'])));
    await operator.user(BOB);
    await server.stop();
    done(await server.cli(['restore', made.id, '--recovery-key', sheet, '--yes']));
    const list = async () =>
      (
        JSON.parse(done(await server.cli(['admin', 'user', 'list', '--json']))).items as {
          username: string;
        }[]
      )
        .map(({ username }) => username)
        .sort();
    expect(await list()).toEqual(['ada']);
    expect((await server.cli(['restore', 'undo', '--into', 'x'])).code).toBe(2);
    expect(JSON.parse(done(await server.cli(['restore', 'undo', '--plan', '--json'])))).toMatchObject({
      obstacles: [],
    });
    expect(await list()).toEqual(['ada']);
    done(await server.cli(['restore', 'undo', '--yes']));
    expect(await list()).toEqual(['ada', 'bob']);
    await server.start();
    expect(await signsIn(server, BOB)).toBe(true);
    // A server that serves is no obstacle to letting go.
    expect(
      JSON.parse(done(await server.cli(['restore', 'forget', '--yes', '--json']))).databases,
    ).toHaveLength(2);
    expect((await server.cli(['restore', 'forget', '--yes'])).code).toBe(6);
    expect(await signsIn(server, ADA)).toBe(true);
  });

  test.skipIf(engine.name !== 'sqlite')(
    'takes a backup on with the recovery log: to a moment, or to the very end, where sessions may be kept (SQLite)',
    { timeout: PATIENCE },
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_RECOVERY_LOG: 'true' } });
      await server.start();
      const sheet = path.join(server.stateDir, 'sheet.txt');
      await writeFile(sheet, server.recoverySheet);
      const operator = new Operator(server);
      await operator.user(ADA);
      const made = JSON.parse(done(await server.cli(['backup', 'create', '--json'])));
      await operator.user(BOB);
      const person = new Person(server.issuer, BOB);
      await person.signIn(server.issuer);
      const moment = new Date(Date.now() + 1).toISOString();
      await sleep(5);
      await operator.user(EVE);
      await server.stop();
      const asked = ['restore', '--latest', '--recovery-key', sheet, '--yes', '--json'];
      const whole = JSON.parse(done(await server.cli([...asked, '--sessions', 'keep']))) as RestoreReceipt;
      expect(whole).toMatchObject({ lost: null, sessions: 'keep', aftercare: { ended_sessions: 0 } });
      await server.start();
      for (const account of [ADA, BOB, EVE]) expect(await signsIn(server, account)).toBe(true);
      await server.stop();
      const asItIs = asked.with(1, made.id as string);
      expect(await server.cli([...asItIs, '--sessions', 'keep'])).toMatchObject({ code: 3, stdout: '' });
      const then = JSON.parse(done(await server.cli([...asked, '--to', moment]))) as RestoreReceipt;
      expect(new Date(then.restored_to).toISOString()).toBe(moment);
      expect(then.aftercare.ended_sessions).toBeGreaterThan(0);
      await server.start();
      expect([await signsIn(server, BOB), await signsIn(server, EVE)]).toEqual([true, false]);
    },
  );

  const other = engines.find(({ name }) => name !== engine.name);
  test.skipIf(!other)(
    'fills the other engine while the server serves (needs both engines)',
    { timeout: PATIENCE },
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({ storage });
      await server.start();
      const sheet = path.join(server.stateDir, 'sheet.txt');
      await writeFile(sheet, server.recoverySheet);
      await new Operator(server).user(ADA);
      const made = JSON.parse(done(await server.cli(['backup', 'create', '--json'])));
      await using target = await freshStorage(other!);
      const into = target.driver === 'sqlite' ? target.path : target.dsn;
      const asked = ['restore', made.id, '--recovery-key', sheet, '--into', into, '--yes'];
      expect(done(await server.cli(asked))).toContain(`storage.driver: ${target.driver}`);
      expect((await server.cli(asked)).stderr).toContain('There is something at');
      expect(await signsIn(server, ADA)).toBe(true);
      await server.stop();
      const env = {
        ...server.env,
        AUTHSERVER_STORAGE_DRIVER: target.driver,
        ...(target.driver === 'sqlite'
          ? { AUTHSERVER_STORAGE_SQLITE_PATH: target.path }
          : { AUTHSERVER_STORAGE_POSTGRES_DSN: target.dsn }),
        AUTHSERVER_STATE_DIR: server.stateDir,
      };
      await using grown = await TestServer.prepare({ storage: target, env });
      await grown.start();
      expect(await signsIn(grown, ADA)).toBe(true);
      await grown.stop();
    },
  );
});
