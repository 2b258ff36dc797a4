import { describe, expect, test } from 'vitest';
import type { Failure } from '../../kernel/errors.ts';
import { type KeyPair, makeKeyPair, writePem } from '../key-pair.ts';
import { Installation, TIMING } from '../keyring.test-kit.ts';
import { openKeyring } from '../keyring.ts';
import { MemoryKeyRows } from '../memory-store.test-kit.ts';
import { envStore } from './env-store.ts';

const [first, second] = [await makeKeyPair('ES256'), await makeKeyPair('EdDSA')];

function store(key: string | undefined, next?: string, rows = new MemoryKeyRows()) {
  const settings = [
    { variable: 'AUTHSERVER_SIGNING_KEY', text: key },
    { variable: 'AUTHSERVER_SIGNING_KEY_NEXT', text: next },
  ];
  return envStore(settings, rows);
}

describe('the key store env', () => {
  const sec1 = (pair: KeyPair) => pair.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
  test.each([
    ['PKCS #8', writePem(first)],
    ['SEC 1', sec1(first)],
    ['with \\n for line breaks', writePem(first).replaceAll('\n', '\\n')],
    ['with text around it', `# the key\n${writePem(first)}\n`],
  ])('reads a key as %s', async (_, text) => {
    expect(await store(text).list()).toEqual([first.kid]);
    expect(await store(text).inspect(first.kid)).toMatchObject({ kid: first.kid, algorithm: 'ES256' });
    expect(store(text).locate(first.kid)).toBe('AUTHSERVER_SIGNING_KEY');
  });

  test('reads several keys of one setting, and those of the other', async () => {
    expect(await store(writePem(first) + writePem(second)).list()).toEqual([first.kid, second.kid]);
    const two = store(writePem(first), writePem(second));
    expect(await two.list()).toEqual([first.kid, second.kid]);
    expect(two.locate(second.kid)).toBe('AUTHSERVER_SIGNING_KEY_NEXT');
  });

  test.each([
    ['no PEM', 'hunter2-hunter2'],
    ['a PEM cut short', writePem(first).slice(0, 80)],
    ['a public key', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'],
  ])('refuses %s, by the name of the setting and without showing it', (_, text) => {
    let failure: Failure | undefined;
    try {
      store(text);
    } catch (error) {
      failure = error as Failure;
    }
    expect(failure).toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('AUTHSERVER_SIGNING_KEY'),
    });
    expect(`${failure?.message} ${failure?.detail}`).not.toContain(text);
  });

  test('makes no key, and says how a rotation is done', async () => {
    const rows = new MemoryKeyRows();
    await using installation = await Installation.make();
    const ring = await open(installation, store(writePem(first), undefined, installation.store));
    expect((await ring.sign('at+jwt', {})).kid).toBe(first.kid);
    await expect(ring.rotate()).rejects.toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('AUTHSERVER_SIGNING_KEY_NEXT'),
    });
    expect(installation.store.rows.size).toBe(1);
    await expect(store(undefined, undefined, rows).create('ES256')).rejects.toMatchObject({
      code: 'refused',
    });
  });

  test('a rotation takes up the next key of the settings, and every token verifies', async () => {
    await using installation = await Installation.make();
    const before = await (await open(installation, store(writePem(first)))).sign('at+jwt', {});
    const both = store(writePem(first), writePem(second), installation.store);
    const ring = await open(installation, both);
    const { kid, activates_at } = await ring.rotate();
    expect(kid).toBe(second.kid);
    installation.clock.moveTo(activates_at);
    await ring.tick();
    const after = await ring.sign('at+jwt', {});
    expect(after.kid).toBe(second.kid);
    for (const { jwt } of [before, after]) expect(await ring.verify(jwt)).toBeDefined();
    // The former key has served: the next one takes its place in the settings.
    const later = await open(installation, store(writePem(second), undefined, installation.store));
    expect((await later.sign('at+jwt', {})).kid).toBe(second.kid);
    expect(await later.verify(before.jwt)).toBeDefined();
  });

  test('a setting that lost its key is named at the start, and nothing is made', async () => {
    await using installation = await Installation.make();
    await open(installation, store(writePem(first), undefined, installation.store));
    const opened = open(installation, store(writePem(second), undefined, installation.store));
    await expect(opened).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining(first.kid),
      hint: expect.stringContaining('AUTHSERVER_SIGNING_KEY'),
    });
    expect(installation.store.rows.size).toBe(1);
  });
});

function open(installation: Installation, keyStore: ReturnType<typeof envStore>) {
  const { store, clock, log } = installation;
  return openKeyring({
    store,
    keyStores: { home: keyStore, named: async () => keyStore },
    algorithm: 'ES256',
    timing: TIMING,
    clock,
    log,
    installationIsNew: store.rows.size === 0,
  });
}
