// A server that is killed again and again, whose database is lost each time: a copy from before, the log on the backup
// target and what was still on its way to it make up for it.

import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { replayLog } from '../../src/app/recovery/log-source.ts';
import { digestOf } from '../../src/app/recovery/logged.test-kit.ts';
import { Folder } from '../../src/archive/targets/folder.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { spoolFolder } from '../../src/store/change-spool.ts';
import { engines, freshStorage } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';
import { times } from './scale.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const KILLS = times(6, 200);

describe.skipIf(!here)('the recovery log of a server (needs the sqlite engine)', () => {
  it('reaches every acknowledged write, however often the server is killed', {
    timeout: KILLS * 15_000,
  }, async () => {
    await using storage = await freshStorage({ name: 'sqlite' });
    if (storage.driver !== 'sqlite') throw new Error('asked for sqlite');
    const env = {
      AUTHSERVER_BACKUP_PLAINTEXT: 'true',
      AUTHSERVER_RECOVERY_INTERVAL: '100ms',
      AUTHSERVER_PURGE_ENABLED: 'false',
      AUTHSERVER_RECOVERY_LOG: 'true',
    };
    await using server = await TestServer.prepare({ storage, env });
    await server.start();
    const before = path.join(storage.dir, 'before.db');
    copyLive(storage.path, before);
    const acknowledged: string[] = [];
    const restore = async (spool?: string) => {
      const file = path.join(storage.dir, 'restored.db');
      copyFileSync(before, file);
      const reading = { ...readingOf(storage.path, storage.dir), ...(spool !== undefined && { spool }) };
      return { file, replayed: await replayLog(file, reading, 'end') };
    };
    for (let kill = 0; kill < KILLS; kill++) {
      const dying = addUsers(server, `k${kill}`, acknowledged);
      const enough = acknowledged.length + 5 + kill * 7;
      while (acknowledged.length < enough) await sleep(5);
      await server.kill();
      await dying;
      const { file, replayed } = await restore(spoolFolder(storage.path));
      expect(replayed.faults).toEqual([]);
      const users = usernamesIn(file);
      expect(acknowledged.filter((name) => !users.has(name))).toEqual([]);
      await server.start();
    }
    expect(await server.stop()).toBe(0);
    const { file, replayed } = await restore();
    expect(replayed).toMatchObject({ complete: true, faults: [] });
    expect(digestOf(file)).toBe(digestOf(storage.path));
    expect(acknowledged.length).toBeGreaterThan(KILLS * 10);
  });
});

/** Many at once, until the server is gone. */
async function addUsers(server: TestServer, prefix: string, acknowledged: string[]): Promise<void> {
  const addOne = async (username: string) => {
    const answer = await fetch(`${server.adminUrl}/admin/users`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.adminApiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ username }),
    });
    if (answer.status !== 201) throw new Error(`the admin API answered ${answer.status}`);
    acknowledged.push(username);
  };
  const lane = async (number: number) => {
    for (let n = 0; ; n++) await addOne(`${prefix}-${number}-${n}`);
  };
  await Promise.allSettled([0, 1, 2, 3].map(lane));
}

function readingOf(database: string, stateDir: string) {
  using db = new DatabaseSync(database, { readOnly: true });
  const signers = db.prepare("select value from settings where name = 'backup.signers'").get()?.['value'];
  const deploymentId = String(db.prepare('select id from deployment').get()?.['id']);
  const shelf = new Folder({ folder: path.join(stateDir, 'backups'), random: systemRandom });
  const trust = JSON.parse(String(signers)) as string[];
  return { shelves: [{ name: 'local', shelf }], deploymentId, identities: {}, trust };
}

function copyLive(database: string, to: string): void {
  using db = new DatabaseSync(database, { readOnly: true });
  db.prepare('vacuum into ?').run(to);
}

function usernamesIn(database: string): ReadonlySet<string> {
  using db = new DatabaseSync(database, { readOnly: true });
  return new Set(
    db
      .prepare('select username from users')
      .all()
      .map(({ username }) => String(username)),
  );
}
