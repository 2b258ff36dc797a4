// Owns what the key store `vault_transit` and the master key in Vault promise, whichever server is behind them.

import { createPublicKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/kernel/log.ts';
import type { Algorithm } from '../../../src/keys/jwk.ts';
import { parseJws, verifySignature } from '../../../src/keys/jws.ts';
import { Installation, TIMING } from '../../../src/keys/keyring.test-kit.ts';
import { openKeyring } from '../../../src/keys/keyring.ts';
import { MemoryKeyRows } from '../../../src/keys/memory-store.test-kit.ts';
import type { KeyStore } from '../../../src/keys/stores/key-store.ts';
import { vaultMasterKey } from '../../../src/keys/vault/master-key.ts';
import { openVault } from '../../../src/keys/vault/open.ts';
import type { VaultAuth } from '../../../src/keys/vault/token.ts';
import type { VaultTls } from '../../../src/keys/vault/transport.ts';
import { VaultStore } from '../../../src/keys/vault/vault-store.ts';
import type { SigningKeyRecord } from '../../../src/store/records.ts';

export interface VaultPlace {
  readonly address: string;
  readonly auth: VaultAuth;
  readonly namespace?: string;
  /** ms */
  readonly timeout?: number;
  readonly tls?: VaultTls;
}

/** A client that the test closes. */
export function openClient({ address, auth, namespace, timeout = 2000, tls }: VaultPlace) {
  return openVault({ address, namespace, timeout, tls }, auth, silentLog);
}

/** A key store on a transit key, and the database rows that it looks at. */
export function openVaultStore(place: VaultPlace, name = 'authserver-signing') {
  const client = openClient(place);
  const rows = new MemoryKeyRows();
  const store = new VaultStore({ client, key: { mount: 'transit', name }, rows });
  return { store, rows, client, [Symbol.dispose]: () => client.close() };
}

/** The row of a key that has just been made. */
export function rowOf(
  half: Awaited<ReturnType<KeyStore['create']>>,
  state: SigningKeyRecord['state'] = 'active',
): SigningKeyRecord {
  return {
    kid: half.kid,
    algorithm: half.algorithm,
    state,
    public_jwk_json: JSON.stringify(half.jwk),
    key_store: 'vault_transit',
    created_at: 1,
    activates_at: 1,
    activated_at: 1,
    retires_at: null,
    retired_at: null,
  };
}

/** @param keyName a transit key that is not there yet */
export function describeVaultPromises(place: () => VaultPlace, keyName: () => string): void {
  test.each<Algorithm>(['ES256', 'EdDSA', 'RS256'])(
    'signs %s with a key that never comes here',
    async (algorithm) => {
      using opened = openVaultStore(place(), keyName());
      const half = await opened.store.create(algorithm);
      expect(half.algorithm).toBe(algorithm);
      const signer = await opened.store.signer(rowOf(half));
      const claims = { sub: 'Zoë 🦊', n: 'x'.repeat(2000) };
      const jws = parseJws(await signer.sign('at+jwt', claims))!;
      const key = createPublicKey({ key: { ...half.jwk }, format: 'jwk' });
      expect(await verifySignature(jws, algorithm, key)).toBe(true);
      expect(jws.claims).toEqual(claims);
      expect(opened.store.pems).toBeUndefined();
    },
  );

  test('names each version by its thumbprint, and signs with the one that is asked for', async () => {
    using opened = openVaultStore(place(), keyName());
    const { store, rows } = opened;
    const one = await store.create('ES256');
    await rows.addFirst({ key: rowOf(one) });
    const two = await store.create('ES256');
    expect(two.kid).not.toBe(one.kid);
    expect(await store.list()).toEqual([one.kid, two.kid]);
    expect(await store.inspect(one.kid)).toMatchObject({ jwk: one.jwk });
    expect(await store.inspect('other')).toBeUndefined();
    for (const half of [one, two]) expect((await store.signer(rowOf(half))).kid).toBe(half.kid);
  });

  test('takes up a version that nobody uses, instead of making another', async () => {
    using opened = openVaultStore(place(), keyName());
    const { store } = opened;
    const left = await store.create('ES256');
    expect((await store.create('ES256')).kid).toBe(left.kid);
    expect(await store.list()).toHaveLength(1);
  });

  test('gives another algorithm a transit key of its own', async () => {
    using opened = openVaultStore(place(), keyName());
    const { store, rows } = opened;
    const es = await store.create('ES256');
    await rows.addFirst({ key: rowOf(es) });
    const ed = await store.create('EdDSA');
    expect(ed.algorithm).toBe('EdDSA');
    for (const half of [es, ed]) expect((await store.signer(rowOf(half))).algorithm).toBe(half.algorithm);
  });

  test('a version that was taken away does not sign any longer', async () => {
    using opened = openVaultStore(place(), keyName());
    const { store, rows } = opened;
    const bad = await store.create('ES256');
    await rows.addFirst({ key: rowOf(bad, 'compromised') });
    // Alone it cannot be closed: there must be a newer one.
    await store.remove(bad.kid);
    expect((await store.signer(rowOf(bad))).kid).toBe(bad.kid);
    const good = await store.create('ES256');
    rows.rows.set(good.kid, rowOf(good));
    await store.remove(bad.kid);
    await expect(store.signer(rowOf(bad))).rejects.toMatchObject({ code: 'configuration' });
    expect((await store.signer(rowOf(good))).kid).toBe(good.kid);
    await store.remove('unknown');
  });

  test('a keyring rotates there, and tokens verify before, during and after', async () => {
    using opened = openVaultStore(place(), keyName());
    await using installation = await Installation.make();
    const { store } = installation;
    const keyStores = { home: opened.store, named: async () => opened.store };
    const ring = await openKeyring({
      store,
      keyStores,
      algorithm: 'ES256',
      timing: TIMING,
      clock: installation.clock,
      log: installation.log,
      installationIsNew: true,
    });
    const before = await ring.sign('at+jwt', { n: 1 });
    opened.rows.rows.set(before.kid, store.rows.get(before.kid)!);
    const { kid, activates_at } = await ring.rotate();
    const during = await ring.sign('at+jwt', { n: 2 });
    installation.clock.moveTo(activates_at);
    await ring.tick();
    const after = await ring.sign('at+jwt', { n: 3 });
    expect([before.kid === during.kid, after.kid]).toEqual([true, kid]);
    for (const { jwt } of [before, during, after]) expect(await ring.verify(jwt)).toBeDefined();
    ring.close();
  });

  describe('as a master key', () => {
    test('wraps and unwraps, and does not take what another key has wrapped', async () => {
      const client = openClient(place());
      try {
        const [one, two] = ['one', 'two'].map((name) =>
          vaultMasterKey(client, { mount: 'transit', name: `${keyName()}-${name}` }, 'settings'),
        );
        const secret = Buffer.alloc(32, 7);
        const wrapped = await one!.wrap(secret, 'dk');
        expect(wrapped).not.toContain(secret.toString('base64'));
        expect(await one!.unwrap(wrapped, 'dk')).toEqual(secret);
        await expect(two!.unwrap(wrapped, 'dk')).rejects.toMatchObject({ code: 'configuration' });
        await two!.wrap(secret, 'dk');
        await expect(two!.unwrap(wrapped, 'dk')).rejects.toMatchObject({ code: 'configuration' });
        expect(one!.secret).toBeUndefined();
        expect(one!.id).not.toBe(two!.id);
      } finally {
        client.close();
      }
    });
  });
}
