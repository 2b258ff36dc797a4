// Where private keys are and what seals them, replaced under servers that sign: no token is ever rejected.

import { generateKeyPairSync } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  abandonMasterKey,
  movePrivateKeys,
  reencryptKeys,
  shareMasterKey,
} from '../../src/admin/keys-custody.ts';
import type { Rooms } from '../../src/app/compose.ts';
import { loadConfig } from '../../src/app/config.ts';
import { asFailure } from '../../src/kernel/errors.ts';
import { masterKeyId } from '../../src/keys/sealing/master-key.ts';
import { describeEngines } from '../setup/engines.ts';
import { Deployment, newMasterKey, type Settings, sealedBy } from './deployment.ts';
import { FakeVault } from './vault/fake-vault.ts';

const [A, B] = [newMasterKey(), newMasterKey()];
const idOf = (key: string) => masterKeyId(Buffer.from(key, 'hex'));
const pem = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const quiet = { progress: () => undefined, signal: new AbortController().signal };
const OPERATOR = { actor: 'admin:operator', ip: null } as const;

describeEngines('keys in service', (engine) => {
  let deployment: Deployment;
  let running: Rooms[];

  beforeEach(async () => {
    deployment = await Deployment.make(engine);
    running = [];
  });
  afterEach(async () => {
    for (const rooms of running) await rooms.close();
    await deployment[Symbol.asyncDispose]();
  });

  async function serve(settings: Settings): Promise<Rooms> {
    const rooms = await deployment.serve(settings);
    running.push(rooms);
    return rooms;
  }
  const failedStart = (settings: Settings) =>
    serve(settings).then(() => expect.unreachable('the server started'), asFailure);

  const sign = async ({ keyring }: Rooms) => (await keyring.sign('at+jwt', { sub: 'user' })).jwt;
  /** As a client of any of the servers does, from what that one publishes. */
  async function expectVerified(tokens: readonly string[]): Promise<void> {
    for (const { keyring } of running) {
      const keys = createLocalJWKSet(keyring.jwks() as JSONWebKeySet);
      for (const token of tokens) await jwtVerify(token, keys);
    }
  }

  test('moved between stores under load', async () => {
    const rooms = await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'keyfile' });
    const tokens: string[] = [];
    let moving = true;
    const load = Promise.all(
      [1, 2, 3].map(async () => {
        while (moving) {
          tokens.push(await sign(rooms));
          await new Promise((next) => setImmediate(next));
        }
      }),
    );
    for (const to of ['database', 'keyfile', 'database']) {
      expect(await movePrivateKeys(rooms, { to }, quiet, OPERATOR)).toMatchObject({ to, moved: [{}] });
    }
    moving = false;
    await load;
    tokens.push(await sign(await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'database' })));
    expect(tokens.length).toBeGreaterThan(20);
    expect(new Set(tokens.map((token) => decodeProtectedHeader(token).kid)).size).toBe(1);
    await expectVerified(tokens.slice(0, 20).concat(tokens.slice(-20)));
    expect(await readdir(path.join(deployment.stateDir, 'keys'))).toEqual([]);
    const events = await deployment.store.audit.list({ after: 0, limit: 100 });
    expect(events.filter(({ action }) => action === 'key.moved')).toHaveLength(3);
  });

  test('a second move is refused while one is under way: in opposite directions they would lose the key', async () => {
    const rooms = await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'keyfile' });
    const { kid } = await rooms.keyring.sign('at+jwt', {});
    const back = () => movePrivateKeys(rooms, { to: 'keyfile' }, quiet, OPERATOR);
    const pems = (await rooms.custody.named('keyfile'))!.pems!;
    const remove = pems.remove.bind(pems);
    let second: unknown;
    pems.remove = async (each) => {
      // The row says `database` by now, and the file is still to be removed.
      second = await back().catch((error: unknown) => error);
      await remove(each);
    };
    await movePrivateKeys(rooms, { to: 'database' }, quiet, OPERATOR);
    pems.remove = remove;
    expect(second).toMatchObject({ code: 'conflict' });
    expect((await (await serve(sealedBy(A))).keyring.sign('at+jwt', {})).kid).toBe(kid);
    expect(await back()).toMatchObject({ moved: [{ kid }] });
  });

  test('a move that is stopped has told of each key that it has moved', async () => {
    const rooms = await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'keyfile' });
    await rooms.keyring.rotate();
    const stop = new AbortController();
    const watch = { progress: () => stop.abort(), signal: stop.signal };
    const stopped = movePrivateKeys(rooms, { to: 'database' }, watch, OPERATOR);
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    const events = await deployment.store.audit.list({ after: 0, limit: 100 });
    const told = events.filter(({ action }) => action === 'key.moved');
    const rows = (await deployment.store.keys.list({})).filter(({ key_store }) => key_store === 'database');
    expect(told.map(({ detail_json }) => JSON.parse(detail_json).kid)).toEqual(rows.map(({ kid }) => kid));
    expect(rows).toHaveLength(1);
  });

  test('a copy that a killed move has left is named by the check of keys, and the next move removes it', async () => {
    const rooms = await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'keyfile' });
    const { kid } = await rooms.keyring.sign('at+jwt', {});
    const [keyfile, database] = [await rooms.custody.named('keyfile'), await rooms.custody.named('database')];
    expect((await rooms.keyring.management.verify()).ok).toBe(true);
    await database!.pems!.save(kid, (await keyfile!.pems!.load(kid))!);
    const { ok, findings } = await rooms.keyring.management.verify();
    expect([ok, findings.length]).toEqual([false, 2]);
    expect(findings[1]).toMatchObject({
      kid,
      finding: expect.stringContaining('table private_keys is a copy'),
      repair: 'authserver keys move --to keyfile removes it',
    });
    const report = await movePrivateKeys(rooms, { to: 'keyfile' }, quiet, OPERATOR);
    expect(report).toMatchObject({ moved: [], cleared: [{ kid }] });
    expect((await rooms.keyring.management.verify()).ok).toBe(true);
  });

  test('no shares are made of a master key that does not open the database yet', async () => {
    await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'database' });
    const rooms = await serve({ ...sealedBy(B, A), SIGNING_KEY_STORE: 'database' });
    const share = () => shareMasterKey(rooms, { threshold: 2, shares: 3 }, quiet, OPERATOR);
    await expect(share()).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(idOf(A)),
      hint: expect.stringContaining('keys reencrypt'),
    });
    await reencryptKeys(rooms, { data_keys: false }, quiet, OPERATOR);
    expect(await share()).toMatchObject({ master_key_id: idOf(B) });
  });

  test('nothing that is sealed is given up while a master key of the settings cannot be read', async () => {
    const rooms = await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'database' });
    const custody = await deployment.process({
      DATA_ENCRYPTION_DRIVER: 'aes_master',
      DATA_ENCRYPTION_KEY_FILE: path.join(deployment.stateDir, 'not-mounted-yet'),
    });
    const abandoned = abandonMasterKey({ ...rooms, custody }, { master_key_id: idOf(A) }, quiet, OPERATOR);
    await expect(abandoned).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('not-mounted-yet'),
    });
    expect(await deployment.store.dataKeys.list({})).toHaveLength(1);
  });

  test('a master key is replaced in three steps, while servers of the step before go on', async () => {
    const SEALED = { ...sealedBy(A), SIGNING_KEY_STORE: 'postgres_key' };
    const first = await serve(SEALED);
    const tokens = [await sign(first)];
    const second = await serve({ ...SEALED, ...sealedBy(B, A) });
    const report = await reencryptKeys(second, { data_keys: true }, quiet, OPERATOR);
    expect(report).toMatchObject({ proven: true, removable: [{ master_key_id: idOf(A) }] });
    const third = await serve({ ...SEALED, ...sealedBy(B) });
    for (const rooms of running) {
      await rooms.keyring.reload();
      tokens.push(await sign(rooms));
    }
    const { kid } = await third.keyring.rotate();
    await third.keyring.reload();
    expect(third.keyring.state().problems).toEqual([]);
    expect(kid).not.toBe(decodeProtectedHeader(tokens[0]!).kid);
    await Promise.all(running.map(({ keyring }) => keyring.tick()));
    await expectVerified(tokens);
    expect(third.custody.state()).toMatchObject({
      key_store: 'database',
      data_encryption: 'aes_master',
      master_key_id: idOf(B),
      data_keys: 1,
    });
    expect((await failedStart(SEALED)).message).toContain(idOf(B));
  });

  test('kept in Vault: while it is sealed nothing is signed, and then all goes on', async () => {
    await using vault = await FakeVault.start();
    const settings = {
      SIGNING_KEY_STORE: 'vault_transit',
      SIGNING_VAULT_TRANSIT_ADDRESS: vault.address,
      SIGNING_VAULT_TRANSIT_TOKEN: 'root',
    };
    const rooms = await serve(settings);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => sign(rooms)));
    vault.sealed = true;
    await expect(sign(rooms)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await failedStart(settings)).toMatchObject({ hint: expect.stringContaining('operator unseal') });
    vault.sealed = false;
    tokens.push(await sign(await serve(settings)));
    await expectVerified(tokens);
    expect((await deployment.store.keys.list({})).map(({ key_store }) => key_store)).toEqual([
      'vault_transit',
    ]);
    const refused = movePrivateKeys(rooms, { to: 'keyfile' }, quiet, OPERATOR);
    await expect(refused).rejects.toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('keys rotate'),
    });
    expect(await readdir(deployment.stateDir)).not.toContain('keys');
  });

  test('a master key in Vault gives way to one of the settings, and takes over again', async () => {
    await using vault = await FakeVault.start();
    const inVault = {
      SIGNING_KEY_STORE: 'database',
      DATA_ENCRYPTION_DRIVER: 'vault_transit_encrypt',
      DATA_ENCRYPTION_VAULT_TRANSIT_ADDRESS: vault.address,
      DATA_ENCRYPTION_VAULT_TRANSIT_TOKEN: 'root',
    };
    const tokens = [await sign(await serve(inVault))];
    const toSettings = await serve({ ...inVault, ...sealedBy(A) });
    expect(await reencryptKeys(toSettings, { data_keys: false }, quiet, OPERATOR)).toMatchObject({
      proven: true,
      removable: [{ master_key_id: 'vault:transit/authserver-data' }],
    });
    tokens.push(await sign(await serve({ ...sealedBy(A), SIGNING_KEY_STORE: 'database' })));
    const toVault = await serve({ ...inVault, DATA_ENCRYPTION_OLD_KEYS: A });
    vault.rotate('authserver-data');
    for (let run = 0; run < 2; run++) {
      const report = await reencryptKeys(toVault, { data_keys: false }, quiet, OPERATOR);
      expect(report).toMatchObject({ proven: true, removable: [{ master_key_id: idOf(A) }] });
    }
    const [row] = await deployment.store.dataKeys.list({});
    expect(row!.wrapped).toMatch(/^vault:v2:/);
    tokens.push(await sign(await serve(inVault)));
    await expectVerified(tokens);
  });

  test('kept in the environment, under the name that another system gave it', async () => {
    const [one, two] = [pem(), pem()];
    const rooms = await serve({ HELLOJOHN_JWT_SIGNING_KEY: one.replaceAll('\n', '\\n') });
    const tokens = [await sign(rooms)];
    expect(decodeProtectedHeader(tokens[0]!).alg).toBe('EdDSA');
    await expect(rooms.keyring.rotate()).rejects.toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('AUTHSERVER_SIGNING_KEY_NEXT'),
    });
    const next = await serve({ SIGNING_KEY_STORE: 'env', SIGNING_KEY: one, SIGNING_KEY_NEXT: two });
    const { kid } = await next.keyring.rotate();
    await rooms.keyring.tick();
    tokens.push(await sign(next));
    await expectVerified(tokens);
    expect(rooms.keyring.jwks().keys.map((key) => key.kid)).toContain(kid);
    expect(await readdir(deployment.stateDir)).toEqual([]);
  });

  test('a master key that a program prints, or a file holds', async () => {
    const file = path.join(deployment.stateDir, 'key');
    await writeFile(file, `${A}\n`, { mode: 0o644 });
    const rest = { DATA_ENCRYPTION_DRIVER: 'aes_master', SIGNING_KEY_STORE: 'database' };
    const tokens = [await sign(await serve({ ...rest, DATA_ENCRYPTION_KEY_COMMAND: `/bin/cat, ${file}` }))];
    expect(deployment.log.lines).toEqual([]);
    tokens.push(await sign(await serve({ ...rest, DATA_ENCRYPTION_KEY_FILE: file })));
    expect(deployment.log.lines).toMatchObject([{ level: 'warn', fields: { path: file, mode: '0644' } }]);
    await expectVerified(tokens);
    const failure = await failedStart({ ...rest, DATA_ENCRYPTION_KEY_COMMAND: '/bin/cat, /no/such/file' });
    expect(failure.message).toMatch(/^data_encryption.key_command: .* It said: .*no\/such\/file/);
    expect(await failedStart({ ...rest, DATA_ENCRYPTION_KEY_FILE: '/no/such/file' })).toMatchObject({
      code: 'configuration',
      message: 'Cannot read /no/such/file (ENOENT).',
    });
  });
});

describe('settings about keys that cannot work are refused with the next step', () => {
  const vault = (name: string) => `AUTHSERVER_SIGNING_VAULT_TRANSIT_${name}`;
  const used = { AUTHSERVER_SIGNING_KEY_STORE: 'vault_transit', [vault('ADDRESS')]: 'https://vault.example' };
  const master = { AUTHSERVER_DATA_ENCRYPTION_DRIVER: 'aes_master' };

  test.each<[string, Readonly<Record<string, string>>, RegExp]>([
    ['a sealed store without a master key', { AUTHSERVER_SIGNING_KEY_STORE: 'database' }, /driver is none/],
    [
      'a store of the environment without a key',
      { AUTHSERVER_SIGNING_KEY_STORE: 'env' },
      /signing.key .* is needed/,
    ],
    ['no master key', master, /data_encryption.key .* is needed/],
    [
      'two master keys',
      { ...master, AUTHSERVER_DATA_ENCRYPTION_KEY: A, AUTHSERVER_DATA_ENCRYPTION_KEY_FILE: '/x' },
      /must be the only one/,
    ],
    ['a master key without a driver', { AUTHSERVER_DATA_ENCRYPTION_KEY: A }, /has no use/],
    ['Vault without an address', { AUTHSERVER_SIGNING_KEY_STORE: 'vault_transit' }, /address .* is needed/],
    ['Vault without a token', used, /token .* is needed/],
    [
      'a token and AppRole',
      { ...used, [vault('TOKEN')]: 'hvs.secret-token', [vault('APPROLE_ROLE_ID')]: 'role' },
      /must be the only one of token, token_file and approle/,
    ],
    ['half of AppRole', { ...used, [vault('APPROLE_ROLE_ID')]: 'role' }, /needs its role_id and either/],
    [
      'plain http to another machine',
      { ...used, [vault('ADDRESS')]: 'http://vault.example', [vault('TOKEN')]: 't' },
      /must be https/,
    ],
    [
      'an address with a path',
      { ...used, [vault('ADDRESS')]: 'https://vault.example/v1', [vault('TOKEN')]: 't' },
      /nothing but scheme, host and port/,
    ],
    [
      'a certificate without its key',
      { ...used, [vault('TOKEN')]: 't', [vault('TLS_CERT_FILE')]: '/x.pem' },
      /need each other/,
    ],
    ['a store that there is not', { AUTHSERVER_SIGNING_KEY_STORE: 'paper' }, /must be one of/],
  ])('%s', async (_, env, said) => {
    const failure = await loadConfig({ file: undefined, env, terminal: false }).then(
      () => expect.unreachable('the settings were taken'),
      asFailure,
    );
    const text = `${failure.message} ${failure.detail} ${failure.hint}`;
    expect(failure.code).toBe('configuration');
    expect(text).toMatch(said);
    expect(text).not.toMatch(new RegExp(`${A}|hvs.secret-token`));
  });
});
