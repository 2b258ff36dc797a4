// A restore into a place beside the one that is served: of whichever engine, taken on by the recovery log, or refused.

import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { readSigningKey } from '../../src/app/backup/signing-key.ts';
import { prepareMoment } from '../../src/app/restore/point-in-time.ts';
import { stageFromRows } from '../../src/app/restore-rows.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { Failure } from '../../src/kernel/errors.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { answerOf } from '../setup/command.ts';
import { describeEngines, engines, type FreshStorage, freshStorage, inTurn } from '../setup/engines.ts';
import { freePort } from '../setup/free-port.ts';
import { storageChoice as choiceOf } from '../setup/fresh-store.ts';
import { authserver, startServer } from '../setup/server.ts';
import { ASKED, Installation } from './restore-kit.ts';

const PATIENCE = 60_000;
const LOGGED = {
  AUTHSERVER_BACKUP_PLAINTEXT: 'true',
  AUTHSERVER_RECOVERY_INTERVAL: '100ms',
  AUTHSERVER_RECOVERY_LOG: 'true',
};
const hasBoth = engines.length === 2;

function nameOf(fresh: FreshStorage): string {
  return fresh.driver === 'sqlite' ? fresh.path : fresh.dsn;
}

describeEngines('a restore elsewhere', (engine) => {
  const story = inTurn(engine);
  story('does not go to what is no place, and says what it can go to', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    const id = await here.backup();
    for (const into of [
      'mysql://root:hidden@db/auth',
      'file:///srv/authserver.db',
      'postgres://a:hidden@[/x',
    ]) {
      const failure = await here.restore({ backup: id, into }).catch((error: Failure) => error);
      expect(failure, into).toMatchObject({
        code: 'invalid_input',
        hint: expect.stringContaining('postgres://'),
      });
      expect(JSON.stringify(failure), into).not.toContain('hidden');
    }
  });

  story('names a database that does not answer as what it is', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    const id = await here.backup();
    const into = `postgres://nobody@127.0.0.1:${await freePort()}/nowhere`;
    await expect(here.restore({ backup: id, into })).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe.skipIf(!engines.some(({ name }) => name === 'postgres'))(
  'elsewhere from PostgreSQL (needs the postgres engine)',
  () => {
    test('may be the same name on another port', { timeout: PATIENCE }, async () => {
      await using here = await Installation.make({ name: 'postgres' });
      await here.addUser('ada');
      const id = await here.backup();
      if (here.storage.driver !== 'postgres') throw new Error('not PostgreSQL');
      const other = new URL(here.storage.postgres.dsn);
      other.port = String(await freePort());
      const failure = here.restore({ backup: id, into: other.href });
      await expect(failure).rejects.toMatchObject({ code: 'unavailable' });
    });

    test('goes to a moment, and leaves what is served as it is', { timeout: 2 * PATIENCE }, async () => {
      await using here = await Installation.make({ name: 'postgres' });
      await using then = await freshStorage({ name: 'postgres' });
      await using copy = await freshStorage({ name: 'sqlite' });
      await here.addUser('ada');
      await stageFromRows(here.storage, choiceOf(then), { clock: systemClock, random: systemRandom });
      const to = Date.now();
      await here.addUser('zoe');
      const rowsAt = async () => ({
        storage: choiceOf(then),
        reached: to,
        complete: true,
        [Symbol.asyncDispose]: async () => undefined,
      });
      const room = { needed: 1, free: 2, at: '/' };
      const backup = {
        ...{ label: '20260101-000000F', started_at: to - 5000, stopped_at: to - 2000, type: 'full' as const },
        ...{ size: 1, damaged: false, restorable: true },
      };
      const parts = {
        log: silentLog,
        rowsAt,
        baseOf: async () => ({ place: 'the repository', backup, room }),
      };
      const into = path.join(path.dirname(nameOf(copy)), 'then.db');
      {
        // A server may serve meanwhile: nothing of it is exchanged.
        await using moment = await prepareMoment(here.config, { ...ASKED, to, into }, parts);
        expect(moment.obstacles).toEqual([]);
        expect(moment.plan).toMatchObject({
          into,
          kept_as: null,
          backup: { place: 'the repository', made_at: to - 2000, verified_at: null, program: null },
          notes: [
            expect.stringContaining('Without the recovery key'),
            expect.stringContaining('never proven'),
          ],
        });
        await moment.run({ progress: () => undefined, signal: new AbortController().signal });
      }
      const there = { driver: 'sqlite', sqlite: { path: into, wal: true } } as const;
      expect(await here.users(there)).toEqual({ ada: 'active' });
      expect(await here.users()).toEqual({ ada: 'active', zoe: 'active' });
      await using again = await prepareMoment(here.config, { ...ASKED, to, into }, parts);
      expect(again.obstacles).toMatchObject([{ message: expect.stringContaining('There is something at') }]);
    });

    test('to a moment that nothing reaches is refused in the plan', { timeout: PATIENCE }, async () => {
      await using here = await Installation.make({ name: 'postgres' });
      await using moment = await prepareMoment(
        here.config,
        { ...ASKED, to: Date.now() - 1000 },
        { log: silentLog },
      );
      expect(moment.obstacles).toMatchObject([
        { code: 'not_found', hint: expect.stringContaining('recovery setup') },
      ]);
    });
  },
);

describeEngines('a target that was copied', (engine) => {
  const story = inTurn(engine);
  story(
    'brings the log along, and what it knows of access that was taken away',
    {
      timeout: 2 * PATIENCE,
    },
    async () => {
      await using storage = await freshStorage(engine);
      await using empty = await freshStorage(engine);
      await using server = await startServer({ storage, env: LOGGED });
      const run = async (...args: string[]) => answerOf(await server.cli([...args, '--json']));
      await run('admin', 'user', 'create', 'eve', '--no-password');
      const { id } = await run('backup', 'create');
      await run('admin', 'user', 'disable', 'eve');
      const names = async () => await readdir(path.join(server.stateDir, 'backups'), { recursive: true });
      await vi.waitFor(async () => expect((await names()).join()).toMatch(/log/), { timeout: 30_000 });
      await server.stop();
      const host = await mkdtemp(path.join(tmpdir(), 'authserver-host-'));
      try {
        await cp(path.join(server.stateDir, 'backups'), path.join(host, 'stick'), { recursive: true });
        const file =
          (await readdir(path.join(host, 'stick'))).find((name) => name.startsWith(`${id}.tar`)) ?? '';
        const signer = readSigningKey(server.stateDir)!.publicKey;
        const there = {
          ...server.env,
          AUTHSERVER_STATE_DIR: path.join(host, 'state'),
          ...(empty.driver === 'sqlite'
            ? { AUTHSERVER_STORAGE_SQLITE_PATH: path.join(host, 'state', 'authserver.db') }
            : { AUTHSERVER_STORAGE_POSTGRES_DSN: empty.dsn }),
        };
        const words = ['restore', path.join(host, 'stick', file), '--trust', signer, '--json'];
        const plan = await authserver([...words, '--plan'], { env: there });
        expect(plan, plan.stderr).toMatchObject({ code: 0 });
        expect(JSON.parse(plan.stdout).notes).toEqual([]);
        const restored = await authserver([...words, '--yes'], { env: there });
        expect(restored, restored.stderr).toMatchObject({ code: 0 });
        const listed = await authserver(['admin', 'user', 'list', '--json'], { env: there });
        expect(JSON.parse(listed.stdout).items).toMatchObject([{ username: 'eve', status: 'disabled' }]);
      } finally {
        await rm(host, { recursive: true, force: true });
      }
    },
  );
});

describe.skipIf(!hasBoth)('from SQLite to PostgreSQL (needs both engines)', () => {
  test('what came after the backup comes along out of the recovery log, to its end or to a moment', {
    timeout: 2 * PATIENCE,
  }, async () => {
    await using storage = await freshStorage({ name: 'sqlite' });
    await using whole = await freshStorage({ name: 'postgres' });
    await using earlier = await freshStorage({ name: 'postgres' });
    await using server = await startServer({ storage, env: LOGGED });
    const run = async (...args: string[]) => answerOf(await server.cli([...args, '--json']));
    const add = (name: string) => run('admin', 'user', 'create', name, '--no-password');
    await add('before');
    await run('backup', 'create');
    await add('after');
    const then = new Date().toISOString();
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(Date.parse(then)));
    await add('later');
    await vi.waitFor(
      async () => expect(await run('recovery', 'status')).toMatchObject({ recovery_lag_seconds: 0 }),
      { timeout: 30_000, interval: 200 },
    );
    expect(await server.stop()).toBe(0);
    const receipt = await run('restore', '--latest', '--into', nameOf(whole), '--yes');
    expect(receipt).toMatchObject({ lost: null, notes: [] });
    expect(await usersIn(whole)).toEqual(['after', 'before', 'later']);
    const to = await run('restore', '--to', then, '--into', nameOf(earlier), '--yes');
    expect(to.restored_to).toBe(Date.parse(then));
    expect(await usersIn(earlier)).toEqual(['after', 'before']);
    // Where SQLite's log stood says nothing about the database that the rows went to.
    const moved = {
      ...server.env,
      ...{ AUTHSERVER_STORAGE_DRIVER: 'postgres', AUTHSERVER_STORAGE_POSTGRES_DSN: nameOf(whole) },
    };
    const { stdout } = await authserver(['restore', '--latest', '--plan', '--json'], { env: moved });
    expect(JSON.parse(stdout).lost).not.toBeNull();
  });
});

async function usersIn(fresh: FreshStorage): Promise<string[]> {
  await using here = await Installation.make({ name: 'sqlite' });
  return Object.keys(await here.users(choiceOf(fresh))).sort();
}
