// A restore from outside its rooms: what is there afterwards, what is kept, and that it can be taken back.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSigningKey } from '../../src/app/backup/signing-key.ts';
import { prepareMoment } from '../../src/app/restore/point-in-time.ts';
import { prepareRestore } from '../../src/app/restore/restore.ts';
import { forgetRestores } from '../../src/app/restore/undo.ts';
import { stageFromRows } from '../../src/app/restore-rows.ts';
import { readSigned } from '../../src/archive/signature.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { query } from '../setup/cluster.ts';
import { describeEngines, engines, freshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';
import { ASKED, Installation } from './restore-kit.ts';

const PARTS = { clock: systemClock, random: systemRandom };

const PATIENCE = 60_000;
/** What a restore itself writes to. */
const OWN = new Set(['audit_events', 'settings', 'deployment', 'leases', 'schema_migrations']);

function others(digests: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(digests).filter(([table]) => !OWN.has(table)));
}

describeEngines('a restore', (engine) => {
  test('brings the backup back, keeps the state before, says so on paper, and can be undone', {
    timeout: PATIENCE,
  }, async () => {
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    await here.writeKey('k1.pem', 'the key of then');
    const id = await here.backup();
    const then = await here.digests();
    await here.addUser('bob');
    await here.writeKey('k1.pem', 'the key of now');
    await here.writeKey('k2.pem', 'a key made since');
    const now = await here.digests();

    const receipt = await here.restore({ backup: id });
    expect(others(await here.digests())).toEqual(others(then));
    expect(await here.users()).toEqual({ ada: 'active' });
    expect(receipt).toMatchObject({ verb: 'restore', from: id, aftercare: { epoch: 1 } });
    expect(receipt.lost?.from).toBeLessThanOrEqual(receipt.at);
    expect(await readFile(here.keyFile('k1.pem'), 'utf8')).toBe('the key of then');
    expect(await readFile(here.keyFile('k1.pem.before-restore-1'), 'utf8')).toBe('the key of now');
    expect(await readFile(here.keyFile('k2.pem'), 'utf8')).toBe('a key made since');
    const paper = await readFile(path.join(here.stateDir, 'receipts', `restore-${receipt.id}.json`));
    expect(JSON.parse(String(readSigned(paper)?.line))).toEqual(receipt);
    await here.withStore(async (store) => {
      const [event] = (await store.audit.list({ after: 0, limit: 100 })).slice(-1);
      expect(event).toMatchObject({ action: 'restore.completed', actor: 'admin:operator' });
      expect(JSON.parse(event!.detail_json)).toMatchObject({ from: id, lost: receipt.lost });
    });

    const undone = await here.undo();
    expect(others(await here.digests())).toEqual(others(now));
    expect(await readFile(here.keyFile('k1.pem'), 'utf8')).toBe('the key of now');
    expect(undone).toMatchObject({ verb: 'undo', from: receipt.id });

    await forgetRestores(here.config);
    expect((await here.files()).filter((name) => /before|restor(ing|ed)|restore\.json/.test(name))).toEqual(
      [],
    );
    await expect(here.undo()).rejects.toMatchObject({ code: 'not_found' });
  });

  test('of the newest proven backup is the default, and what was taken away since stays away', {
    timeout: PATIENCE,
  }, async () => {
    await using here = await Installation.make(engine);
    for (const name of ['ada', 'bob', 'eve']) await here.addUser(name);
    await here.backup();
    await here.addUser('zoe');
    const id = await here.backup();
    await here.backup({ verified: false });
    await here.withStore(async (store) => {
      await store.users.setStatus({ id: 'user_bob', status: 'disabled', now: Date.now() });
      await store.users.remove({ id: 'user_eve', now: Date.now() });
    });
    const receipt = await here.restore();
    expect(receipt.from).toBe(id);
    expect(await here.users()).toEqual({ ada: 'active', bob: 'disabled', zoe: 'active' });
    expect(receipt.aftercare.replayed).toMatchObject({ user_disabled: 1, user_removed: 1 });
  });

  test('into an empty host brings keys and deployment along', { timeout: PATIENCE }, async () => {
    await using there = await Installation.make(engine);
    await there.addUser('ada');
    await there.writeKey('k1.pem', 'the key');
    const id = await there.backup();
    const trust = [await signerOf(there)];
    await using here = await Installation.make(engine, {
      AUTHSERVER_STORAGE_SQLITE_PATH: path.join(there.stateDir, 'new', 'a.db'),
    });
    await emptied(here);
    await here.restore({ backup: there.archiveOf(id), trust });
    expect(await here.users()).toEqual({ ada: 'active' });
    expect(await readFile(here.keyFile('k1.pem'), 'utf8')).toBe('the key');
    const { id: deployment } = await there.withStore((store) => store.deployment.get({}));
    expect(await readFile(path.join(here.stateDir, 'deployment'), 'utf8')).toBe(`${deployment}\n`);
  });

  test('that is stopped leaves nothing behind, at whichever step', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    await here.writeKey('k1.pem', 'then');
    const backup = await here.backup();
    await here.writeKey('k1.pem', 'now');
    const before = { rows: await here.digests(), files: await here.files() };
    for (const step of [1, 2, 4, 6, 8]) {
      const stop = new AbortController();
      await using prepared = await prepareRestore(here.config, { ...ASKED, backup }, { log: silentLog });
      const progress = ({ number }: { number: number }) => number === step && stop.abort();
      const running = prepared.run({ progress, signal: stop.signal });
      await expect(running, `step ${step}`).rejects.toMatchObject({ code: 'interrupted' });
      expect({ rows: await here.digests(), files: await here.files() }, `step ${step}`).toEqual(before);
      expect(await schemasOf(here)).toEqual([]);
    }
    await here.restore({ backup });
    expect(await readFile(here.keyFile('k1.pem'), 'utf8')).toBe('then');
  });
});

describe.skipIf(!engines.some(({ name }) => name === 'postgres'))(
  'a restore to a moment of the log of PostgreSQL (needs the postgres engine)',
  () => {
    test('brings the rows of then back, and keeps away what was taken away since', {
      timeout: 2 * PATIENCE,
    }, async () => {
      await using here = await Installation.make({ name: 'postgres' });
      await using then = await freshStorage({ name: 'postgres' });
      for (const name of ['ada', 'bob']) await here.addUser(name);
      await stageFromRows(here.storage, storageChoice(then), PARTS);
      const to = Date.now();
      await here.addUser('zoe');
      await here.withStore((store) =>
        store.users.setStatus({ id: 'user_bob', status: 'disabled', now: Date.now() }),
      );
      const moment = { to, sessions: 'end', removals: 'repeat', acceptDeployment: undefined } as const;
      const keys = { recoveryKeyFile: undefined, passphraseFile: undefined, trust: [] };
      const back = async (complete: boolean, reached: number, until = Number.POSITIVE_INFINITY) => {
        const stop = new AbortController();
        const progress = ({ number }: { number: number }) => number === until && stop.abort();
        const rowsAt = async () => ({
          storage: storageChoice(then),
          reached,
          complete,
          [Symbol.asyncDispose]: async () => undefined,
        });
        const room = { needed: 1, free: 2, at: '/' };
        const backup = {
          ...{ label: '20260101-000000F', type: 'full' as const, started_at: 1, stopped_at: 2, size: 1 },
          ...{ damaged: false, restorable: true },
        };
        const baseOf = async () => ({ place: 'the repository', backup, room });
        await using prepared = await prepareMoment(
          here.config,
          { ...moment, ...keys },
          { log: silentLog, rowsAt, baseOf },
        );
        return prepared.run({ progress, signal: stop.signal });
      };
      const before = await here.digests();
      const ended = {
        code: 'refused',
        hint: expect.stringContaining(`--to ${new Date(to - 1).toISOString()}`),
      };
      await expect(back(false, to - 1)).rejects.toMatchObject(ended);
      expect(await here.digests()).toEqual(before);
      // It gets beyond the first step, which is to take the rows over.
      await expect(back(true, to - 1, 2)).rejects.toMatchObject({ code: 'interrupted' });
      // The last commit in the archive, after which nothing comes that could say so.
      const receipt = await back(false, to);
      expect(receipt).toMatchObject({ restored_to: to, lost: { from: to } });
      expect(await here.users()).toEqual({ ada: 'active', bob: 'disabled' });
      await here.undo();
      expect(Object.keys(await here.users())).toEqual(['ada', 'bob', 'zoe']);
    });
  },
);

/** Schemas that a restore has staged in. */
async function schemasOf({ storage }: Installation): Promise<unknown[]> {
  if (storage.driver === 'sqlite') return [];
  return query(storage.postgres.dsn, "select nspname from pg_namespace where nspname like '%restoring%'");
}

async function signerOf(there: Installation): Promise<string> {
  return readSigningKey(there.stateDir)!.publicKey;
}

/** Nothing is there any more. */
async function emptied(here: Installation): Promise<void> {
  const { storage } = here;
  if (storage.driver === 'sqlite') await writeFile(storage.sqlite.path, '');
  else {
    await query(storage.postgres.dsn, 'drop schema public cascade; create schema public');
  }
}
