import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { asFailure, type Failure } from '../../../src/kernel/errors.ts';
import { MemoryLog } from '../../../src/keys/keyring.test-kit.ts';
import { vaultMasterKey } from '../../../src/keys/vault/master-key.ts';
import { openVault } from '../../../src/keys/vault/open.ts';
import type { VaultAuth } from '../../../src/keys/vault/token.ts';
import { FakeVault } from './fake-vault.ts';
import { describeVaultPromises, openClient, openVaultStore, rowOf } from './promises.ts';

let vault: FakeVault;
let names = 0;

beforeEach(async () => {
  vault = await FakeVault.start();
});
afterEach(() => vault.stop());

const ROOT: VaultAuth = { by: 'token', token: 'root' };
const place = (auth: VaultAuth = ROOT) => ({ address: vault.address, auth });
const failureOf = (work: Promise<unknown>): Promise<Failure> =>
  work.then(() => expect.unreachable('it went well'), asFailure);

describe('Vault by its documented API', () => {
  describeVaultPromises(place, () => `key-${names++}`);

  test('what a token says stays here where the algorithm hashes it first', async () => {
    using opened = openVaultStore(place());
    const signer = await opened.store.signer(rowOf(await opened.store.create('ES256')));
    await signer.sign('at+jwt', { sub: 'somebody' });
    const { body } = vault.requests.at(-1)!;
    expect(Buffer.from(String(body['input']), 'base64')).toHaveLength(32);
    expect(body).toMatchObject({ key_version: 1, prehashed: true, marshaling_algorithm: 'jws' });
  });

  test('a namespace goes with every call', async () => {
    vault.namespace = 'team/auth';
    using opened = openVaultStore({ ...place(), namespace: 'team/auth' });
    expect(await opened.store.create('ES256')).toBeDefined();
    using elsewhere = openVaultStore(place());
    expect(await elsewhere.store.list()).toEqual([]);
  });

  test.each([
    ['too short', (signature: string) => signature.slice(0, -4)],
    ['of another version', (signature: string) => signature.replace(':v1:', ':v2:')],
    ['something else', () => 'hello'],
  ])('a signature that is %s is not passed on', async (_, forge) => {
    using opened = openVaultStore(place());
    const signer = await opened.store.signer(rowOf(await opened.store.create('ES256')));
    vault.forge = forge;
    expect(await failureOf(signer.sign('at+jwt', {}))).toMatchObject({ code: 'configuration' });
  });

  test('a key that signs for another is found at the start', async () => {
    using opened = openVaultStore(place());
    const half = await opened.store.create('ES256');
    const stranger = await openVaultStore(place(), 'other').store.create('ES256');
    const row = { ...rowOf(half), public_jwk_json: JSON.stringify(stranger.jwk) };
    expect((await failureOf(opened.store.signer(row))).message).toMatch(/does not verify/);
  });

  test('a key that is gone is named, and none is made in its place', async () => {
    using opened = openVaultStore(place());
    const row = rowOf(await opened.store.create('ES256'));
    vault.keys.clear();
    const failure = await failureOf(opened.store.signer(row));
    expect(failure.message).toContain(row.kid);
    expect(failure.message).toContain('transit/keys/authserver-signing');
    expect(vault.keys.size).toBe(0);
  });

  test('a version that is signed with keeps older ones open; once it is gone they are closed', async () => {
    using opened = openVaultStore(place());
    const { store, rows } = opened;
    const halves = [];
    for (let n = 0; n < 3; n++) {
      const half = await store.create('ES256');
      halves.push(half);
      rows.rows.set(half.kid, rowOf(half, n === 0 ? 'active' : 'retired'));
    }
    expect(await store.remove(halves[1]!.kid)).toMatch(/Vault can still sign with it/);
    expect(vault.keys.get('authserver-signing')?.minEncryption).toBe(0);
    rows.rows.set(halves[0]!.kid, rowOf(halves[0]!, 'retired'));
    rows.rows.set(halves[2]!.kid, rowOf(halves[2]!, 'active'));
    expect(await store.remove(halves[1]!.kid)).toMatch(/Vault signs with it no more/);
    expect(vault.keys.get('authserver-signing')?.minEncryption).toBe(3);
  });
});

describe('what goes wrong is named with the next step', () => {
  test('sealed', async () => {
    using opened = openVaultStore(place());
    vault.sealed = true;
    const failure = await failureOf(opened.store.list());
    expect(failure).toMatchObject({ code: 'unavailable', hint: expect.stringContaining('operator unseal') });
    expect(vault.requests.length).toBeLessThanOrEqual(5);
  });

  test('denied: the path that the policy lacks, and never the token', async () => {
    vault.addToken('reading-only-token', { policies: ['reader'] });
    vault.makeKey('authserver-signing', 'ecdsa-p256');
    using opened = openVaultStore(place({ by: 'token', token: 'reading-only-token' }));
    const [kid] = await opened.store.list();
    const row = rowOf((await opened.store.inspect(kid!))!);
    const failure = await failureOf(opened.store.signer(row));
    expect(failure.code).toBe('configuration');
    expect(failure.hint).toContain(
      'path "transit/sign/authserver-signing/sha2-256" { capabilities = ["create", "update"] }',
    );
    expect(JSON.stringify([failure.message, failure.hint, failure.detail])).not.toContain('reading-only');
  });

  test('nobody there', async () => {
    const { address } = vault;
    using opened = openVaultStore({ address, auth: ROOT, timeout: 300 });
    await vault.stop();
    const failure = await failureOf(opened.store.list());
    expect(failure).toMatchObject({ code: 'unavailable', message: expect.stringContaining(address) });
    vault = await FakeVault.start();
  });

  test('a master key that is not there', async () => {
    vault.addToken('signer');
    const client = openClient(place({ by: 'token', token: 'signer' }));
    const failure = await failureOf(
      vaultMasterKey(client, { mount: 'transit', name: 'none' }, 's').wrap(Buffer.alloc(32), 'dk'),
    );
    expect(failure).toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('encryption key not found'),
    });
    client.close();
  });
});

describe('an answer that is not of Vault', () => {
  test.each([
    ['a standby that points elsewhere', { status: 307 }],
    ['the page of a proxy', { status: 200, text: '<html>Welcome</html>' }],
    ['an ingress without a backend', { status: 404, text: 'default backend - 404' }],
  ])('%s: no key is thought lost, and none is made', async (_, answer) => {
    const auth: VaultAuth = {
      by: 'approle',
      mount: 'approle',
      role_id: 'role-1',
      secret: { text: 'secret-1' },
    };
    for (const by of [ROOT, auth]) {
      using opened = openVaultStore(place());
      const half =
        (await opened.store.inspect((await opened.store.list())[0] ?? '')) ??
        (await opened.store.create('ES256'));
      using troubled = openVaultStore({ ...place(by), timeout: 150 });
      vault.trouble.push(...Array(200).fill(answer));
      expect(await failureOf(troubled.store.signer(rowOf(half)))).toMatchObject({ code: 'unavailable' });
      expect(await failureOf(troubled.store.create('ES256'))).toMatchObject({ code: 'unavailable' });
      vault.trouble.length = 0;
      expect(vault.keys.get('authserver-signing')?.versions).toHaveLength(1);
    }
  });

  test('nothing is mounted there: Vault says so, and that is passed on', async () => {
    const client = openClient(place());
    const failure = await failureOf(client.call('GET', 'elsewhere/keys/authserver-signing'));
    expect(failure).toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('no handler for route'),
    });
    client.close();
  });
});

describe('patience', () => {
  test.each<[string, (number | 'drop')[]]>([
    ['an overloaded server', [429, 503, 500]],
    ['a connection that breaks', ['drop', 'drop']],
  ])('%s is asked again', async (_, trouble) => {
    using opened = openVaultStore(place());
    const signer = await opened.store.signer(rowOf(await opened.store.create('ES256')));
    vault.trouble.push(...trouble);
    expect(await signer.sign('at+jwt', {})).toBeTruthy();
    expect(vault.trouble).toEqual([]);
  });

  test('no call outlasts its time', async () => {
    using opened = openVaultStore({ ...place(), timeout: 400 });
    const signer = await opened.store.signer(rowOf(await opened.store.create('ES256')));
    vault.trouble.push(...Array<number>(100).fill(500));
    let started = performance.now();
    expect(await failureOf(signer.sign('at+jwt', {}))).toMatchObject({ code: 'unavailable' });
    expect(performance.now() - started).toBeLessThan(700);
    vault.trouble.length = 0;
    vault.delay = 5000;
    started = performance.now();
    expect((await failureOf(signer.sign('at+jwt', {}))).message).toMatch(/within 0.4 s/);
    expect(performance.now() - started).toBeLessThan(700);
  });

  test('few sockets, and a crowd that no one could serve in time is turned away', async () => {
    using opened = openVaultStore({ ...place(), timeout: 30_000 });
    const signer = await opened.store.signer(rowOf(await opened.store.create('ES256')));
    vault.delay = 5;
    vault.mostBusy = 0;
    const answers = await Promise.allSettled(Array.from({ length: 600 }, () => signer.sign('at+jwt', {})));
    expect(vault.mostBusy).toBeLessThanOrEqual(32);
    const refused = answers.filter((answer) => answer.status === 'rejected');
    expect(refused).toHaveLength(600 - 512);
    expect(asFailure((refused[0] as PromiseRejectedResult).reason)).toMatchObject({ code: 'unavailable' });
    expect(await signer.sign('at+jwt', {})).toBeTruthy();
  });
});

describe('tokens', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'vault-token-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const approle = (secret: { text: string } | { file: string }): VaultAuth => ({
    by: 'approle',
    mount: 'approle',
    role_id: 'role-1',
    secret,
  });

  test('AppRole signs in once for calls that come together', async () => {
    using opened = openVaultStore(place(approle({ text: 'secret-1' })));
    await Promise.all(Array.from({ length: 10 }, () => opened.store.list()));
    expect(vault.count(/login$/)).toBe(1);
  });

  test('a lease is renewed at its half, and ended by a new sign-in where it can be renewed no further', async () => {
    vault.lease = 1;
    vault.longestLease = 2;
    using opened = openVaultStore(place(approle({ text: 'secret-1' })));
    await opened.store.list();
    await vi.waitFor(() => expect(vault.count(/renew-self$/)).toBeGreaterThan(0), 2500);
    expect(vault.count(/login$/)).toBe(1);
    await vi.waitFor(() => expect(vault.count(/login$/)).toBe(2), 4000);
    expect(vault.requests.some(({ token }) => token !== undefined && vault.tokens.get(token)!.ends < 0)).toBe(
      false,
    );
    expect(await opened.store.list()).toEqual([]);
  });

  test('a token that was revoked is replaced without a word', async () => {
    using opened = openVaultStore(place(approle({ text: 'secret-1' })));
    await opened.store.list();
    for (const id of [...vault.tokens.keys()].filter((each) => each !== 'root')) vault.tokens.delete(id);
    expect(await opened.store.list()).toEqual([]);
    expect(vault.count(/login$/)).toBe(2);
  });

  test('a secret id that was rotated is picked up from its file', async () => {
    const file = path.join(folder, 'secret-id');
    await writeFile(file, 'secret-1\n');
    using opened = openVaultStore(place(approle({ file })));
    await opened.store.list();
    vault.secretIds.delete('secret-1');
    vault.secretIds.add('secret-2');
    for (const id of [...vault.tokens.keys()].filter((each) => each !== 'root')) vault.tokens.delete(id);
    const failure = await failureOf(opened.store.list());
    expect(failure).toMatchObject({ code: 'configuration', hint: expect.stringContaining(file) });
    expect(failure.message + failure.hint).not.toContain('secret-1');
    await writeFile(file, 'secret-2\n');
    expect(await opened.store.list()).toEqual([]);
  });

  test('a token file is read again when it changes', async () => {
    const file = path.join(folder, 'token');
    await writeFile(file, 'first\n');
    vault.addToken('first');
    using opened = openVaultStore(place({ by: 'token_file', file }));
    await opened.store.list();
    vault.tokens.delete('first');
    vault.addToken('second-one');
    await writeFile(file, 'second-one\n');
    expect(await opened.store.list()).toEqual([]);
    await rm(file);
    expect(await failureOf(opened.store.list())).toMatchObject({
      code: 'configuration',
      message: expect.stringContaining(file),
    });
  });

  test('a token of the settings that runs out is renewed too', async () => {
    vault.addToken('short', { ttl: 1, longest: 60 });
    using opened = openVaultStore(place({ by: 'token', token: 'short' }));
    await opened.store.list();
    await sleep(1300);
    expect(await opened.store.list()).toEqual([]);
    expect(vault.count(/renew-self$/)).toBeGreaterThan(0);
  });

  test('a path that the policy lacks costs no sign-in: a secret id may be good for a few only', async () => {
    vault.rolePolicies = ['reader'];
    vault.makeKey('authserver-signing', 'ecdsa-p256');
    using opened = openVaultStore(place(approle({ text: 'secret-1' })));
    expect(await opened.store.list()).toHaveLength(1);
    vault.secretIds.clear();
    expect(await opened.store.list()).toHaveLength(1);
    expect(vault.count(/login$/)).toBe(1);
  });

  test('a token of the settings that can be renewed no further is told of before it runs out', async () => {
    vault.addToken('short', { ttl: 1, longest: 2 });
    const log = new MemoryLog();
    const connection = { address: vault.address, namespace: undefined, timeout: 2000, tls: undefined };
    const client = openVault(connection, { by: 'token', token: 'short' }, log);
    await client.call('GET', 'transit/keys/none');
    await vi.waitFor(
      () =>
        expect(log.lines).toMatchObject([{ level: 'warn', message: expect.stringContaining('runs out') }]),
      4000,
    );
    client.close();
  });

  test('a token that is refused for good is not asked with again and again', async () => {
    using opened = openVaultStore(place({ by: 'token', token: 'unknown' }));
    expect(await failureOf(opened.store.list())).toMatchObject({ code: 'configuration' });
    expect(vault.count(/keys/)).toBeLessThanOrEqual(4);
  });
});

describe('over TLS', () => {
  test('its certificate is checked, and ours is shown', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'vault-tls-'));
    try {
      const [ours, theirs] = [await selfSigned(folder, 'ours'), await selfSigned(folder, 'theirs')];
      const tls = {
        cert: theirs.cert,
        key: theirs.key,
        ca: ours.cert,
        requestCert: true,
        rejectUnauthorized: true,
      };
      await using secure = await FakeVault.start(tls);
      const place = { address: secure.address, auth: ROOT, timeout: 1000 };
      using opened = openVaultStore({ ...place, tls: { ca: theirs.cert, cert: ours.cert, key: ours.key } });
      const signer = await opened.store.signer(rowOf(await opened.store.create('ES256')));
      expect(await signer.sign('at+jwt', {})).toBeTruthy();
      using untrusted = openVaultStore({ ...place, tls: { ca: undefined, cert: ours.cert, key: ours.key } });
      expect(await failureOf(untrusted.store.create('ES256'))).toMatchObject({
        code: 'configuration',
        hint: expect.stringContaining('tls.ca_file'),
      });
      using nameless = openVaultStore({
        ...place,
        tls: { ca: theirs.cert, cert: undefined, key: undefined },
      });
      await failureOf(nameless.store.create('ES256'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

async function selfSigned(folder: string, name: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [path.join(folder, `${name}.crt`), path.join(folder, `${name}.key`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await promisify(execFile)('openssl', ['req', ...options, ...subject, '-keyout', key, '-out', cert]);
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}
