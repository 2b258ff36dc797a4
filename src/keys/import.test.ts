import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { Algorithm } from './jwk.ts';
import { makeKeyPair, writePem } from './key-pair.ts';
import { Installation, TIMING } from './keyring.test-kit.ts';
import type { Keyring } from './keyring.ts';
import { activatesAt } from './lifecycle.ts';

const stateOf = (ring: Keyring, kid: string) => ring.state().keys.find((key) => key.kid === kid)?.state;

describe('a key from elsewhere', () => {
  test.each<Algorithm>(['ES256', 'EdDSA', 'RS256'])(
    'of %s waits like any new key, and then signs',
    async (algorithm) => {
      await using installation = await Installation.make();
      const ring = await installation.open();
      const pair = await makeKeyPair(algorithm);
      const activates_at = activatesAt(installation.clock.now(), TIMING);
      expect(await ring.management.import({ key: writePem(pair), activeNow: false })).toEqual({
        kid: pair.kid,
        state: 'pending',
        activates_at,
        outcome: 'added',
      });
      expect(ring.jwks().keys.map(({ kid }) => kid)).toContain(pair.kid);
      installation.clock.moveTo(activates_at);
      await ring.tick();
      const { jwt, kid } = await ring.sign('at+jwt', {});
      expect(kid).toBe(pair.kid);
      expect(await ring.verify(jwt)).toBeDefined();
    },
  );

  test('may come as PKCS #8, SEC 1, encrypted, or a JWK', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const passphrase = 'open sesame, please';
    const forms = [
      privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
      JSON.stringify(privateKey.export({ format: 'jwk' })),
      privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString(),
    ];
    await using installation = await Installation.make();
    const ring = await installation.open();
    const kids = new Set<string>();
    for (const key of forms) {
      const report = await ring.management.import({ key, passphrase, activeNow: false });
      kids.add(report.kid);
    }
    expect(kids.size).toBe(1);
    expect(await (await installation.keyfile()).list()).toHaveLength(2);
  });

  test.each<[string, string]>([
    ['nothing', ''],
    ['no key', 'hello'],
    ['a public key', publicPem()],
    ['a public JWK', JSON.stringify(createPrivateKey(pemOf('P-256')).export({ format: 'jwk' }), ['kty'])],
    ['a key of another curve', pemOf('P-384')],
    ['JSON that is no object', '{'],
  ])('is refused when it is %s', async (_, key) => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    await expect(ring.management.import({ key, activeNow: false })).rejects.toMatchObject({
      code: 'invalid_input',
      hint: expect.any(String),
    });
    expect(ring.state().keys).toHaveLength(1);
    expect(await (await installation.keyfile()).list()).toHaveLength(1);
  });

  test('waits for no second one', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const waiting = (await ring.rotate()).kid;
    const pair = await makeKeyPair('ES256');
    await expect(ring.management.import({ key: writePem(pair), activeNow: false })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(waiting),
    });
    expect(await (await installation.keyfile()).list()).not.toContain(pair.kid);
  });

  test('signs at once only before the first token, or when nothing else can', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const [first, second] = [await makeKeyPair('ES256'), await makeKeyPair('ES256')];
    const now = { activeNow: true };
    expect(await ring.management.import({ key: writePem(first), ...now })).toMatchObject({
      state: 'active',
    });
    expect(ring.state().signing).toBe(first.kid);
    installation.store.issuances.push({ kid: first.kid, expires_at: 0, revoked: false });
    await expect(ring.management.import({ key: writePem(second), ...now })).rejects.toMatchObject({
      code: 'refused',
    });
    const keyfile = await installation.keyfile();
    await rm(keyfile.locate(first.kid));
    const restarted = await installation.open({ mustSign: false });
    await restarted.management.import({ key: writePem(second), ...now });
    expect(restarted.state().signing).toBe(second.kid);
    expect(stateOf(restarted, first.kid)).toBe('retiring');
  });
});

describe('a key of the database whose private half is missing', () => {
  test('comes back to its place, whatever its state', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { kid } = await ring.sign('at+jwt', {});
    const { pem } = await ring.management.export(kid);
    const keyfile = await installation.keyfile();
    for (const damage of [() => rm(keyfile.locate(kid)), () => writeFile(keyfile.locate(kid), pem)]) {
      await damage();
      const mended = await installation.open({ mustSign: false, installationIsNew: false });
      const report = await mended.management.import({ key: pem, activeNow: true });
      expect(report).toMatchObject({ kid, state: 'active' });
      expect((await mended.sign('at+jwt', {})).kid).toBe(kid);
    }
    expect(await ring.management.import({ key: pem, activeNow: false })).toMatchObject({
      outcome: 'known',
    });
  });

  test('comes back to a database that has lost its rows', async () => {
    await using installation = await Installation.make();
    const before = await installation.open();
    const { jwt, kid } = await before.sign('at+jwt', {});
    const { pem } = await before.management.export(kid);
    installation.store.rows.clear();
    const ring = await installation.open({ mustSign: false, installationIsNew: false });
    await ring.management.import({ key: pem, activeNow: true });
    expect(ring.state()).toMatchObject({ signing: kid, problems: [] });
    expect(await ring.verify(jwt)).toBeDefined();
  });

  test('does not come back once it has retired or was dropped', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { kid } = await ring.sign('at+jwt', {});
    const { pem } = await ring.management.export(kid);
    const waiting = (await ring.rotate()).kid;
    const exported = await ring.management.export(waiting);
    await ring.management.retire(waiting);
    await ring.management.compromise(kid);
    for (const key of [pem, exported.pem]) {
      await expect(ring.management.import({ key, activeNow: false })).rejects.toMatchObject({
        code: 'refused',
      });
    }
    await expect(ring.management.export(kid)).rejects.toMatchObject({ code: 'not_found' });
  });
});

function pemOf(namedCurve: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function publicPem(): string {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}
