// The recovery log with a segment that rotted, told with the product's own commands: what a plan promises, and who stays out.

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { answerOf } from '../setup/command.ts';
import { engines, freshStorage } from '../setup/engines.ts';
import { authserver, startServer, type TestServer } from '../setup/server.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const LOGGED = {
  AUTHSERVER_RECOVERY_INTERVAL: '100ms',
  AUTHSERVER_RECOVERY_LOG: 'true',
};

describe.skipIf(!here)('a damaged recovery log (needs the sqlite engine)', () => {
  test('gives back no access that a later segment takes away, and promises no moment beyond it', {
    timeout: 120_000,
  }, async () => {
    await using storage = await freshStorage({ name: 'sqlite' });
    await using server = await startServer({ storage, env: LOGGED });
    const run = async (...args: string[]) => answerOf(await server.cli([...args, '--json']));
    for (const name of ['ada', 'eve']) await run('admin', 'user', 'create', name, '--no-password');
    await run('backup', 'create');
    await run('admin', 'user', 'create', 'bob', '--no-password');
    await shipped(run);
    const before = await segmentsOf(server);
    await run('admin', 'user', 'create', 'cid', '--no-password');
    await shipped(run);
    const [rotten = ''] = (await segmentsOf(server)).filter((name) => !before.includes(name));
    await run('admin', 'user', 'disable', 'eve');
    await shipped(run);
    const then = new Date().toISOString();
    expect(await server.stop()).toBe(0);

    const host = await mkdtemp(path.join(tmpdir(), 'authserver-host-'));
    try {
      const backups = path.join(host, 'backups');
      await cp(path.join(server.stateDir, 'backups'), backups, { recursive: true });
      await overwrite(path.join(backups, rotten));
      const env = {
        ...server.env,
        AUTHSERVER_STATE_DIR: host,
        AUTHSERVER_STORAGE_SQLITE_PATH: path.join(host, 'authserver.db'),
      };
      const sheet = path.join(host, 'sheet.txt');
      await writeFile(sheet, server.recoverySheet);
      const ask = (...args: string[]) =>
        authserver(['restore', ...args, '--recovery-key', sheet, '--json'], { env });

      const beyond = await ask('--to', then, '--plan');
      expect(beyond.code).toBe(3);
      expect(beyond.stdout + beyond.stderr).toMatch(/The recovery log ends at/);

      const plan = JSON.parse((await ask('--latest', '--plan')).stdout);
      const receipt = JSON.parse((await ask('--latest', '--yes')).stdout);
      // The plan counts the whole milliseconds.
      expect(receipt.restored_to - plan.restored_to).toBeLessThanOrEqual(1);
      expect(receipt.restored_to).toBeLessThan(Date.parse(then));
      expect(receipt.aftercare.replayed).toMatchObject({ user_disabled: 1 });
      expect(receipt.notes.join()).toMatch(/has gaps/);
    } finally {
      await rm(host, { recursive: true, force: true });
    }
  });
});

async function shipped(run: (...args: string[]) => Promise<unknown>): Promise<void> {
  const status = async () =>
    expect(await run('recovery', 'status')).toMatchObject({ recovery_lag_seconds: 0 });
  await vi.waitFor(status, { timeout: 30_000, interval: 100 });
}

async function segmentsOf(server: TestServer): Promise<readonly string[]> {
  const names = await readdir(path.join(server.stateDir, 'backups'));
  return names.filter((name) => name.endsWith('.seg')).sort();
}

/** Three bytes, and the length stays. */
async function overwrite(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes.fill(0x55, bytes.length - 100, bytes.length - 97);
  await writeFile(file, bytes);
}
