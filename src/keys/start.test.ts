import { chmod, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Failure } from '../kernel/errors.ts';
import { makeKeyPair, writePem } from './key-pair.ts';
import { Installation } from './keyring.test-kit.ts';
import type { Keyring } from './keyring.ts';

/** An installation that has signed, and the place of its key. */
async function used(): Promise<{ installation: Installation; kid: string; path: string }> {
  const installation = await Installation.make();
  const { kid } = await (await installation.open()).sign('at+jwt', {});
  return { installation, kid, path: (await installation.keyfile()).locate(kid) };
}

/** The failure of a start, which must have changed neither the database nor the folder. */
async function failedStart(installation: Installation, open: () => Promise<Keyring>): Promise<Failure> {
  const before = [structuredClone(installation.store.rows), await readdir(installation.folder)];
  const failure = await open().then(
    () => expect.unreachable('the server started'),
    (error: Failure) => error,
  );
  expect([installation.store.rows, await readdir(installation.folder)]).toEqual(before);
  expect(failure.code).toBe('configuration');
  expect(failure.hint).toBeTruthy();
  return failure;
}

describe('a lost key is named, and no other is made', () => {
  test.each<[string, (path: string) => Promise<unknown>, RegExp]>([
    ['missing', (path) => rm(path), /is missing/],
    ['empty', (path) => writeFile(path, ''), /is empty/],
    [
      'cut short',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).slice(0, 60)),
      /no private key in PEM/,
    ],
    ['no key at all', (path) => writeFile(path, 'hello\n'), /no private key in PEM/],
    ['another key', async (path) => writeFile(path, writePem(await makeKeyPair('ES256'))), /which holds key/],
    [
      'of another kind',
      async (path) => writeFile(path, writePem(await makeKeyPair('RS256'))),
      /which holds key/,
    ],
  ])('when its file is %s', async (_, damage, what) => {
    const { installation, kid, path } = await used();
    await using _installation = installation;
    await damage(path);
    for (const installationIsNew of [false, true]) {
      const failure = await failedStart(installation, () => installation.open({ installationIsNew }));
      expect(failure.message).toMatch(what);
      expect(failure.message).toContain(kid);
      expect(failure.message).toContain(path);
      expect(failure.hint).toContain(`Put ${path} back from a backup`);
    }
  });

  test('when two files were swapped', async () => {
    const { installation, kid, path } = await used();
    await using _installation = installation;
    const other = (await (await installation.open()).rotate()).kid;
    const otherPath = (await installation.keyfile()).locate(other);
    await rename(path, `${path}.x`);
    await rename(otherPath, path);
    await rename(`${path}.x`, otherPath);
    const failure = await failedStart(installation, () => installation.open());
    expect(failure.message).toContain(
      `active signing key ${kid} is not the one in ${path}, which holds key ${other}`,
    );
  });

  test('when the whole folder is gone', async () => {
    const { installation, path } = await used();
    await using _installation = installation;
    await rm(installation.folder, { recursive: true });
    await installation.keyfile();
    const { message, hint } = await failedStart(installation, () => installation.open());
    expect(message).toContain(path);
    expect(hint).toMatch(
      /keys recover --from-backup latest --recovery-key FILE`.*keys import FILE`.*keys recover --new`/,
    );
  });

  test('and putting the file back mends it', async () => {
    const { installation, kid, path } = await used();
    await using _installation = installation;
    await rename(path, `${path}.bak`);
    await failedStart(installation, () => installation.open());
    await rename(`${path}.bak`, path);
    await chmod(path, 0o644);
    expect((await (await installation.open()).sign('at+jwt', {})).kid).toBe(kid);
    expect(installation.log.lines.at(-1)).toMatchObject({ level: 'warn', fields: { path, mode: '0644' } });
  });

  test('a waiting key without its file is named, while the active one signs', async () => {
    const { installation, kid } = await used();
    await using _installation = installation;
    const waiting = await (await installation.open()).rotate();
    const path = (await installation.keyfile()).locate(waiting.kid);
    await rm(path);
    const ring = await installation.open();
    expect(ring.state().problems[0]?.message).toContain(path);
    expect(installation.log.lines).toMatchObject([
      { level: 'error', message: expect.stringContaining(path) },
    ]);
    installation.clock.moveTo(waiting.activates_at);
    await ring.tick();
    expect((await ring.sign('at+jwt', {})).kid).toBe(kid);
  });

  test('when the settings name another key store', async () => {
    const { installation, kid } = await used();
    await using _installation = installation;
    installation.store.rows.get(kid)!.key_store = 'env';
    const failure = await failedStart(installation, () => installation.open());
    expect(failure.message).toContain('"env"');
    expect(failure.hint).toContain('signing.key_store');
  });

  test('when no key is active', async () => {
    const { installation, kid } = await used();
    await using _installation = installation;
    installation.store.rows.get(kid)!.state = 'retired';
    expect((await failedStart(installation, () => installation.open())).message).toContain('active');
  });

  test('when the key that signed was dropped as compromised, with what there is to go on with', async () => {
    const { installation, kid } = await used();
    await using _installation = installation;
    const row = installation.store.rows.get(kid)!;
    Object.assign(row, { state: 'compromised', retired_at: 1 });
    const followed = await makeKeyPair('ES256');
    const keyfile = await installation.keyfile();
    await keyfile.save(followed.kid, writePem(followed));
    const { message, hint } = await failedStart(installation, () => installation.open());
    expect(message).toMatch(new RegExp(`${kid}.*dropped as compromised`));
    expect(hint).toContain(`authserver keys import ${keyfile.locate(followed.kid)} --active-now`);
    expect(hint).not.toMatch(/from outside|restore the database/);
  });

  test('when a row holds no public key', async () => {
    const { installation, kid } = await used();
    await using _installation = installation;
    installation.store.rows.get(kid)!.public_jwk_json = '{}';
    expect((await failedStart(installation, () => installation.open())).message).toContain(kid);
  });
});

describe('a database without keys', () => {
  test('that is in use gets none', async () => {
    await using installation = await Installation.make();
    await installation.keyfile();
    const failure = await failedStart(installation, () => installation.open({ installationIsNew: false }));
    expect(failure.message).toContain('holds no signing key');
  });

  test('next to key files of another time is refused, and the files are named', async () => {
    const { installation, path } = await used();
    await using _installation = installation;
    await (await installation.open()).rotate();
    installation.store.rows.clear();
    expect((await failedStart(installation, () => installation.open())).message).toContain(path);
  });

  test('takes over the key of a first start that died before its row', async () => {
    await using installation = await Installation.make();
    const pair = await makeKeyPair('ES256');
    await (await installation.keyfile()).save(pair.kid, writePem(pair));
    const ring = await installation.open();
    expect((await ring.sign('at+jwt', {})).kid).toBe(pair.kid);
    expect(await readdir(installation.folder)).toEqual([`${pair.kid}.pem`]);
    expect(installation.changes).toEqual([{ action: 'key.created', kid: pair.kid }]);
  });

  test('takes it over once when two processes find it, and keeps the file', async () => {
    await using installation = await Installation.make();
    const pair = await makeKeyPair('ES256');
    await (await installation.keyfile()).save(pair.kid, writePem(pair));
    const rings = await Promise.all([installation.open(), installation.open()]);
    for (const ring of rings) expect((await ring.sign('at+jwt', {})).kid).toBe(pair.kid);
    expect(await (await installation.keyfile()).list()).toEqual([pair.kid]);
    expect(installation.changes).toHaveLength(1);
  });

  test('keeps a key file that it has found when a server elsewhere was first', async () => {
    await using installation = await Installation.make();
    const pair = await makeKeyPair('ES256');
    const keyfile = await installation.keyfile();
    await keyfile.save(pair.kid, writePem(pair));
    const { store } = installation;
    const { addFirst } = store;
    store.addFirst = async (input) => {
      const elsewhere = await makeKeyPair('ES256');
      await addFirst.call(store, { key: { ...input.key, kid: elsewhere.kid } });
      return addFirst.call(store, input);
    };
    await installation.open({ mustSign: false });
    expect(await keyfile.list()).toEqual([pair.kid]);
  });

  test('does not take over a file that is not the key of its name', async () => {
    await using installation = await Installation.make();
    const [one, two] = [await makeKeyPair('ES256'), await makeKeyPair('ES256')];
    await (await installation.keyfile()).save(one.kid, writePem(two));
    const failure = await failedStart(installation, () => installation.open());
    expect(failure.message).toContain(join(installation.folder, `${one.kid}.pem`));
  });
});
