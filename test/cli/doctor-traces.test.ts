// `authserver doctor` leaves an installation as it was, in whatever state it finds it.

import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';
import { doctor, keyFileOf, prepare, read, runIn, served, withStatus } from './doctor.ts';

/** What lies in a folder, with modes and content. SQLite's index of its log is made anew by whoever reads. */
async function everythingIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isSocket() || entry.name.endsWith('-shm')) continue;
    const { mode, mtimeMs } = await stat(file);
    const content = entry.isFile()
      ? createHash('sha256')
          .update(await readFile(file))
          .digest('hex')
      : '';
    found.set(file, `${mode.toString(8)} ${entry.isFile() ? mtimeMs : ''} ${content}`);
  }
  return found;
}

describeEngines('authserver doctor', (engine) => {
  test('it changes nothing, and takes no lock', async () => {
    await using storage = await freshStorage(engine);
    await using server = await served(storage);
    await chmod(await keyFileOf(server), 0o644);
    await chmod(server.stateDir, 0o755);
    const before = await everythingIn(server.stateDir);
    await doctor(server);
    expect(await everythingIn(server.stateDir)).toEqual(before);
  });

  test('on a machine where nothing was started yet it makes nothing', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    const stateDir = path.join(server.stateDir, 'not', 'there');
    const env = { ...server.env, AUTHSERVER_STATE_DIR: stateDir };
    const { checks } = read(await runIn(env, []));
    expect(checks.get('database')).toMatchObject({
      status: 'warn',
      finding: expect.stringMatching(/is empty$/),
    });
    expect(checks.get('keys')?.status).toBe('skipped');
    await expect(stat(path.dirname(stateDir))).rejects.toThrow('ENOENT');
  });
});

test('a database that nobody has open gets no files beside it', async () => {
  await using storage = await freshStorage({ name: 'sqlite' });
  await using server = await prepare(storage);
  const before = await readdir(server.stateDir);
  expect((await doctor(server, 'database,audit-chain')).code).toBe(0);
  expect(await readdir(server.stateDir)).toEqual(before);
});

test('the log that a killed server has left is read and stays as it is', async () => {
  await using storage = await freshStorage({ name: 'sqlite' });
  await using server = await TestServer.prepare({ storage });
  await server.start();
  await server.kill();
  const before = await everythingIn(server.stateDir);
  expect([...before.keys()].some((name) => name.endsWith('-wal'))).toBe(true);
  const { checks } = await doctor(server, 'database,audit-chain,sqlite-journal,sqlite-integrity');
  expect([...checks.values()].map(({ status }) => status)).toEqual(['ok', 'ok', 'ok', 'ok']);
  expect(await everythingIn(server.stateDir)).toEqual(before);
});

test('a journal that SQLite would play back keeps the file from being opened', async () => {
  await using storage = await freshStorage({ name: 'sqlite' });
  await using server = await served(storage);
  if (storage.driver !== 'sqlite') return;
  const journal = `${storage.path}-journal`;
  await writeFile(journal, Buffer.from('d9d505f920a163d70000000000000000', 'hex'), { mode: 0o600 });
  const before = await everythingIn(server.stateDir);
  const { checks } = await doctor(server, 'database,sqlite-journal,sqlite-integrity,keys');
  expect(checks.get('sqlite-journal')).toMatchObject({
    status: 'fail',
    finding: expect.stringContaining(journal),
  });
  expect(withStatus({ code: 1, checks }, 'skipped')).toEqual(['database', 'sqlite-integrity', 'keys']);
  expect(await everythingIn(server.stateDir)).toEqual(before);
});
