import fs, { copyFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { engines, type FreshStorage, freshStorage } from '../../../test/setup/engines.ts';
import { migrateSchema, openStore } from '../../app/open-store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { type Frame, NO_POSITION, readPosition } from '../change-frame.ts';
import {
  framesFrom,
  listSpool,
  noteShipped,
  readSpoolHeader,
  removeSpool,
  spoolFolder,
} from '../change-spool.ts';
import { NOW, newId } from '../conformance/rows.ts';
import { World } from '../conformance/world.ts';
import { ChangeLog, type ChangeLogOptions, endChain } from './change-log.ts';
import { connectWriter } from './connect.ts';
import { GroupCommit, type Job } from './group-commit.ts';

const here = engines.some((engine) => engine.name === 'sqlite');
let fresh: FreshStorage;
let file: string;
let folder: string;
const opened: DatabaseSync[] = [];

beforeEach(async () => {
  fresh = await freshStorage({ name: 'sqlite' });
  if (fresh.driver !== 'sqlite') throw new Error(`asked for sqlite, got ${fresh.driver}`);
  file = fresh.path;
  folder = spoolFolder(file);
  await migrateSchema(
    { driver: 'sqlite', sqlite: { path: file, wal: true } },
    { clock: systemClock, random: systemRandom },
  );
});
afterEach(() => {
  closeAll();
  return fresh.dispose();
});

describe.skipIf(!here)('the log of what is committed (needs the sqlite engine)', () => {
  it('has a frame for each batch that changed something, and none for the others', async () => {
    const { commits } = logged();
    await commits.run(batch(put(), put()));
    expect(position()).toMatchObject({ batch: 0 });
    await commits.run(batch(put(), put(), put()));
    await commits.run(batch({ family: 'health', verb: 'ping', input: {} }));
    await commits.run(batch({ family: 'settings', verb: 'get', input: { name: 'x' } }));
    await commits.run(batch({ family: 'no such', verb: 'verb', input: {} }));
    await commits.run(batch(put()));
    expect(position()).toMatchObject({ batch: 2 });
    expect(frames().map((frame) => frame.batch)).toEqual([1, 2]);
  });

  it('has what foreign keys took along, and not what was undone', async () => {
    const store = await openLogged();
    const world = new World(store);
    const { user } = await world.granted();
    await store.users.create({ user: { ...user, id: 'other' }, password_hash: null });
    await store.users.remove({ id: user.id, now: NOW });
    await store.close();
    const removal = frames().at(-1)?.changes ?? new Uint8Array();
    const text = Buffer.from(removal).toString('latin1');
    for (const table of ['passwords', 'sessions', 'auth_codes', 'token_families'])
      expect(text).toContain(table);
  });

  it('keeps its files to the user that it runs as', async () => {
    const { commits } = logged();
    await commits.run(batch(put()));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const { path: each } of listSpool(folder)) expect(statSync(each).mode & 0o777).toBe(0o600);
  });

  it('never goes back in time, and goes on in the same chain after a stop', async () => {
    await logged().commits.run(batch(put()));
    await logged().commits.run({ ...batch(put()), sentAt: NOW + 50 });
    const { chain } = position() ?? {};
    await logged().commits.run({ ...batch(put()), sentAt: NOW - 1000 });
    expect(position()).toEqual({ chain, batch: 2 });
    expect(frames().map(({ at }) => at)).toEqual([NOW + 50, NOW + 50]);
  });

  it('drops the frame of a batch whose commit a kill has prevented', async () => {
    const { commits, db, log } = logged();
    await commits.run(batch(put()));
    await commits.run(batch(put()));
    db.exec('begin immediate');
    log.begin();
    db.exec("update settings set value = 'never' where name like 's%'");
    log.seal(NOW);
    db.exec('rollback');
    db.close();
    expect(frames()).toHaveLength(2);
    const { chain } = position() ?? {};

    await logged().commits.run(batch(put()));
    expect(position()).toEqual({ chain, batch: 2 });
    expect(frames().map((frame) => frame.batch)).toEqual([1, 2]);
    expect(frames().map(({ changes }) => Buffer.from(changes).includes('never'))).toEqual([false, false]);
  });

  it('takes the frame back when the commit fails', async () => {
    const { commits, db } = logged();
    await commits.run(batch(put()));
    await commits.run(batch(put()));
    const before = position();
    const broken = batch(put());
    const exec = db.exec.bind(db);
    db.exec = (text: string) => {
      if (text === 'commit') throw new Error('disk I/O error');
      exec(text);
    };
    const [answer] = await commits.run(broken);
    expect(answer).toHaveProperty('failure');
    db.exec = exec;
    expect(position()).toEqual(before);
    expect(frames()).toHaveLength(1);
    await commits.run(batch(put()));
    expect(position()).toEqual({ ...before, batch: 2 });
    expect(frames()).toHaveLength(2);
  });

  it('reads over a torn end', async () => {
    const { commits } = logged();
    await commits.run(batch(put()));
    await commits.run(batch(put()));
    const [spooled] = listSpool(folder);
    writeFileSync(spooled?.path ?? '', Buffer.from([0, 0, 1]), { flag: 'a' });
    const { chain } = position() ?? {};
    await logged().commits.run(batch(put()));
    expect(position()).toEqual({ chain, batch: 2 });
    expect(frames()).toHaveLength(2);
  });

  describe('begins another chain', () => {
    const began = async (change: () => unknown) => {
      await logged().commits.run(batch(put()));
      await logged().commits.run(batch(put()));
      await logged().commits.run(batch(put()));
      const former = position()?.chain;
      await change();
      await logged().commits.run(batch(put()));
      expect(position()?.chain).not.toBe(former);
      expect(position()?.batch).toBe(0);
      await logged().commits.run(batch(put()));
      expect(position()?.batch).toBe(1);
      return readSpoolHeader(listSpool(folder).at(-1)?.path ?? '')?.header.reason;
    };

    it('when something was committed without it', async () => {
      const reason = await began(async () => {
        const store = await openStore({ driver: 'sqlite', sqlite: { path: file, wal: true } }, silentLog);
        await store.settings.put(put().input as never);
        await store.close();
      });
      expect(reason).toBe('the database had none');
    });

    it('when the schema was changed', async () => {
      await began(() => {
        using db = new DatabaseSync(file);
        db.exec('delete from schema_migrations where version = (select max(version) from schema_migrations)');
        endChain(db);
      });
    });

    it('when an older copy of the database was put in place', async () => {
      const { commits } = logged();
      await commits.run(batch(put()));
      const copy = copied();
      const reason = await began(() => replaceBy(copy));
      expect(reason).toMatch(/stands at batch 0, the log at 3/);
    });

    it('when a copy was put in place that lacks but one batch, which has been shipped', async () => {
      await logged().commits.run(batch(put()));
      await logged().commits.run(batch(put()));
      const copy = copied();
      await logged().commits.run(batch(put()));
      const { chain = '', batch: last = 0 } = position() ?? {};
      noteShipped(folder, chain, last);
      replaceBy(copy);
      await logged().commits.run(batch(put()));
      expect(position()?.chain).not.toBe(chain);
    });

    it('when the database was restored', async () => {
      const reason = await began(() => {
        using db = new DatabaseSync(file);
        db.exec('update deployment set restore_epoch = restore_epoch + 1');
      });
      expect(reason).toBe('the database was restored');
    });

    it('when the clock went back by more than moments, with the times that it tells now', async () => {
      const DAY = 86_400_000;
      let now = NOW;
      const commit = () => logged().commits.run({ ...batch(put()), sentAt: now });
      const chains: string[] = [];
      // There and back, twice: chains sort by age all the same.
      for (const step of [0, DAY, -DAY, 1000, -DAY, 2 * DAY]) {
        now += step;
        await commit();
        await commit();
        chains.push(position()?.chain ?? '');
        const header = readSpoolHeader(listSpool(folder).at(-1)?.path ?? '')?.header;
        expect(header?.begun_at).toBeLessThanOrEqual(now);
        expect(frames().at(-1)?.at).toBe(now);
      }
      expect(new Set(chains).size).toBe(3);
      expect([...chains].sort()).toEqual(chains);
    });

    it('when its spool is gone', async () => {
      const reason = await began(() => {
        for (const spooled of listSpool(folder)) removeSpool(spooled);
      });
      expect(reason).toBe('its spool is not there');
    });
  });

  it('goes on without a log while the spool cannot be written, and begins one when it can', async () => {
    // A file where the folder should be: nobody can write there, root neither.
    const wall = path.join(path.dirname(file), 'wall');
    writeFileSync(wall, '');
    const { commits } = logged({ folder: path.join(wall, 'log') });
    const answers = [await commits.run(batch(put())), await commits.run(batch(put()))];
    expect(answers.flat().every((answer) => 'value' in answer)).toBe(true);
    expect(position()?.batch).toBe(0);
    await logged().commits.run(batch(put()));
    await logged().commits.run(batch(put()));
    expect(position()?.batch).toBe(1);
  });

  it('leaves nothing behind for each batch while the disk is full', async () => {
    const written = vi.spyOn(fs, 'writeSync').mockImplementation(() => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    });
    syncBuiltinESMExports();
    try {
      const { commits } = logged();
      for (let n = 0; n < 5; n++) {
        const [answer] = await commits.run(batch(put()));
        expect(answer).toHaveProperty('value');
      }
      expect(written).toHaveBeenCalled();
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      written.mockRestore();
      syncBuiltinESMExports();
    }
    const { commits } = logged();
    await commits.run(batch(put()));
    await commits.run(batch(put()));
    expect(position()?.batch).toBe(1);
    expect(frames()).toHaveLength(1);
  });

  it('ends a run in the middle of a chain when somebody says so', async () => {
    const { commits } = logged();
    await commits.run(batch(put()));
    await commits.run(batch(put()));
    const former = position()?.chain;
    const setting = { name: 'recovery.position', value: NO_POSITION, updated_at: NOW };
    await commits.run(batch({ family: 'settings', verb: 'put', input: { setting, if_absent: false } }));
    expect(position()?.chain).not.toBe(former);
    await commits.run(batch(put()));
    expect(position()?.batch).toBe(1);
  });

  it('begins anew when too much waits, and keeps none of that', async () => {
    const { commits } = logged({ folder, longestFile: 2000, limit: 10_000 });
    const chains = new Set<string | undefined>();
    for (let n = 0; n < 100; n++) {
      await commits.run(batch(put('x'.repeat(500))));
      chains.add(position()?.chain);
    }
    expect(chains.size).toBeGreaterThan(2);
    const size = listSpool(folder).reduce((sum, each) => sum + each.size, 0);
    expect(size).toBeLessThan(13_000);
  });
});

function logged(options: ChangeLogOptions = { folder }) {
  const db = connectWriter({ path: file, wal: true });
  opened.push(db);
  const log = new ChangeLog(db, options, systemRandom);
  return { db, log, commits: new GroupCommit(db, log) };
}

function openLogged() {
  const sqlite = { path: file, wal: true, changeLog: { folder } };
  return openStore({ driver: 'sqlite', sqlite }, silentLog);
}

function batch(...jobs: Job[]) {
  return { jobs, sentAt: NOW };
}

function put(value = 'v'): Job {
  const setting = { name: newId('s'), value, updated_at: NOW };
  return { family: 'settings', verb: 'put', input: { setting, if_absent: false } };
}

function position() {
  using db = new DatabaseSync(file, { readOnly: true });
  const row = db.prepare("select value from settings where name = 'recovery.position'").get();
  return readPosition(row?.['value'] as string | undefined);
}

/** All frames of the newest chain. */
function frames(): readonly Frame[] {
  const { chain } = listSpool(folder).at(-1) ?? {};
  const files = listSpool(folder).filter((each) => each.chain === chain);
  return files.flatMap((each) => {
    const opened = readSpoolHeader(each.path);
    return opened ? [...framesFrom(each.path, opened.start)].map(({ frame }) => frame) : [];
  });
}

/** As an operator would, while nothing runs. */
function replaceBy(copy: string): void {
  closeAll();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
  copyFileSync(copy, file);
}

function closeAll(): void {
  for (const db of opened.splice(0)) if (db.isOpen) db.close();
}

/** A copy of the database as it is now. */
function copied(): string {
  const copy = path.join(path.dirname(file), 'copy.db');
  using db = new DatabaseSync(file, { readOnly: true });
  db.prepare('vacuum into ?').run(copy);
  return copy;
}
