// The commands about where private keys are and what seals them, from outside: a server, a disaster, and the way back.

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { masterKeyId } from '../../src/keys/sealing/master-key.ts';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { type Outcome, startServer, TestServer } from '../setup/server.ts';
import { newMasterKey } from './deployment.ts';

const [A, B] = [newMasterKey(), newMasterKey()];
const idOf = (key: string) => masterKeyId(Buffer.from(key, 'hex'));
const SEALED = { AUTHSERVER_SIGNING_KEY_STORE: 'database', AUTHSERVER_DATA_ENCRYPTION_DRIVER: 'aes_master' };

describeEngines('the commands of custody', (engine) => {
  test('shares, a new master key, a move, a lost master key, shares again, and one that is lost for good', {
    timeout: 120_000,
  }, async () => {
    await using storage = await freshStorage(engine);
    const first = await startServer({
      storage,
      env: { ...SEALED, AUTHSERVER_DATA_ENCRYPTION_KEY: B, AUTHSERVER_DATA_ENCRYPTION_OLD_KEYS: A },
    });
    await using server = first;
    const said: Outcome[] = [];
    const run = async (on: TestServer, args: readonly string[], stdin?: string): Promise<Outcome> => {
      const outcome = await on.cli(args, stdin);
      said.push(outcome);
      return outcome;
    };
    const json = async (args: readonly string[]) => {
      const { code, stdout, stderr } = await server.cli([...args, '--json']);
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout.split('\n')[0]!);
    };

    const issue = await issuer(server);
    const tokens = [await issue()];
    expect(await json(['keys', 'reencrypt', '--data-keys'])).toMatchObject({
      proven: true,
      rows: { total: 1, resealed: 1 },
      removable: [{ master_key_id: idOf(A), source: 'data_encryption.old_keys' }],
    });
    expect(await json(['keys', 'move', '--to', 'keyfile'])).toMatchObject({ moved: [{ from: 'database' }] });
    tokens.push(await issue());
    const back = await run(server, ['keys', 'move', '--to', 'database']);
    expect(back, back.stderr).toMatchObject({ code: 0 });
    const { texts, ...set } = await json(['keys', 'shares', 'create', '--threshold', '2', '--shares', '3']);
    expect(set).toMatchObject({ threshold: 2, shares: 3, master_key_id: idOf(B) });
    const shares = texts.slice(1).join('\n');
    expect(await run(server, ['keys', 'verify', '--shares'], shares)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('rebuild the master key of this database'),
    });
    tokens.push(await issue());
    await server.stop();

    // The master key is lost, and somebody has set another one.
    const kept = { ...SEALED, AUTHSERVER_STATE_DIR: server.stateDir };
    await using lost = await TestServer.prepare({
      storage,
      env: { ...kept, AUTHSERVER_DATA_ENCRYPTION_KEY: A },
    });
    const refused = await run(lost, ['serve']);
    expect(refused.code, refused.stderr).toBe(2);
    for (const needle of [idOf(A), idOf(B), 'authserver keys shares combine']) {
      expect(refused.stderr).toContain(needle);
    }
    expect((await run(lost, ['keys', 'verify', '--shares'], shares)).code).toBe(0);
    const file = path.join(server.stateDir, 'master-key');
    const combined = await run(lost, ['keys', 'shares', 'combine', '--out', file], shares);
    expect(combined, combined.stderr).toMatchObject({ code: 0 });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await run(lost, ['keys', 'shares', 'combine', '--out', file], shares)).code).toBe(7);

    await using found = await TestServer.prepare({
      storage,
      env: { ...kept, AUTHSERVER_DATA_ENCRYPTION_KEY_FILE: file },
    });
    await found.start();
    tokens.push(await (await issuer(found))());
    await expectVerified(found, tokens);
    await found.stop();

    // Lost for good: it is given up by its id, never in passing.
    expect((await run(found, ['keys', 'abandon', idOf(B), '--yes'])).code).toBe(3);
    expect((await run(lost, ['keys', 'abandon', idOf(B)])).code).toBe(3);
    expect((await run(lost, ['keys', 'abandon', idOf(B), '--yes'])).code).toBe(0);
    expect((await run(lost, ['keys', 'recover', '--new', '--yes'])).code).toBe(0);
    await lost.start();
    await expectVerified(lost, [...tokens, await (await issuer(lost))()]);
    expect(await run(lost, ['keys', 'verify', '--shares'], shares)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('another master key'),
    });
    const shown =
      said.map(({ stdout, stderr }) => stdout + stderr).join('') + server.log + found.log + lost.log;
    expect(shown).not.toMatch(new RegExp(`${A}|${B}|PRIVATE KEY`));
    expect(shown).not.toMatch(/share1-[0-9a-z]{8}/);
  });
});

/** A client of its own, and how it gets a token. */
async function issuer(server: TestServer): Promise<() => Promise<string>> {
  const made = await server.cli([
    'admin',
    'client',
    'create',
    '--name',
    'Load',
    '--kind',
    'service',
    '--json',
  ]);
  expect(made, made.stderr).toMatchObject({ code: 0 });
  const client = JSON.parse(made.stdout.split('\n')[0]!) as { client_id: string; client_secret: string };
  const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
  const metadata = await fetch(`${server.url}/.well-known/oauth-authorization-server`);
  const { token_endpoint } = (await metadata.json()) as { token_endpoint: string };
  return async () => {
    const answer = await fetch(token_endpoint.replace(server.issuer, server.url), {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { access_token: string }).access_token;
  };
}

async function expectVerified(server: TestServer, tokens: readonly string[]): Promise<void> {
  const published = await fetch(`${server.url}/.well-known/jwks.json`);
  const keys = createLocalJWKSet((await published.json()) as JSONWebKeySet);
  for (const token of tokens) await jwtVerify(token, keys);
}
