// Migrations that die: cut off before each of their statements in turn, and killed as processes. Whatever is left is a state
// between two steps, and the next run ends where an undisturbed one does.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { describeEngines, type Engine, engines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { ask, loadFixture, migrate, openSession, type Session, script } from '../upgrade/database.ts';
import { longTimeline } from '../upgrade/steps.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

class Cut extends Error {}

/** Cuts every connection of this process before the n-th statement, as a crash would; `wasCut` says whether it came to that. */
function cutBefore(n: number): { wasCut(): boolean; restore(): void } {
  let seen = 0;
  const isDue = () => ++seen >= n;
  const clients = new Set<Client>();
  const { query } = Client.prototype;
  const onPostgres = vi.spyOn(Client.prototype, 'query').mockImplementation(function (
    this: Client,
    ...args: unknown[]
  ) {
    clients.add(this);
    if (!isDue()) return (query as (...given: unknown[]) => Promise<never>).apply(this, args);
    for (const client of clients)
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    return Promise.reject(new Cut());
  } as never);
  const { prepare } = DatabaseSync.prototype;
  const onSqlite = vi.spyOn(DatabaseSync.prototype, 'prepare').mockImplementation(function (
    this: DatabaseSync,
    text: string,
  ) {
    if (!isDue()) return prepare.call(this, text);
    if (this.isOpen) this.close();
    throw new Cut();
  });
  return {
    wasCut: () => seen >= n,
    restore() {
      onPostgres.mockRestore();
      onSqlite.mockRestore();
    },
  };
}

/** What a database may look like between two statements: so many steps taken, and the schema that they make. The last is the end. */
async function statesFrom(engine: Engine, from: number): Promise<readonly string[]> {
  await using fresh = await startingAt(engine, from);
  const states = [await stateOf(fresh)];
  for (let taken = from + 1; taken <= longTimeline.length; taken++) {
    const isLast = taken === longTimeline.length;
    if (isLast) {
      // The index stands before the record of its step does, and that is as good as not having begun.
      await script(fresh, 'create index users_nickname on users (nickname)');
      states.push(await stateOf(fresh));
      await script(fresh, 'drop index users_nickname');
    }
    await migrate(fresh, { timeline: longTimeline.slice(0, taken) });
    states.push(await stateOf(fresh));
  }
  return states;
}

async function startingAt(engine: Engine, version: number): Promise<FreshStorage> {
  const fresh = await freshStorage(engine);
  if (version > 0) await loadFixture(fresh, version);
  return fresh;
}

async function stateOf(fresh: FreshStorage): Promise<string> {
  await using session = await openSession(fresh);
  return await stateIn(session);
}

async function stateIn(session: Session): Promise<string> {
  const steps = await session.all('select version from schema_migrations order by version').catch(() => []);
  return `${steps.map(({ version }) => version).join(' ')} ${await session.digest()}`;
}

describeEngines('a migration that is cut off before any statement', (engine) => {
  it.each([0, 1])(
    'from version %i leaves a state between two steps, and the next run ends the same',
    { timeout: 120_000 },
    async (from) => {
      const states = await statesFrom(engine, from);
      await using fresh = await startingAt(engine, from);
      await using looker = await openSession(fresh);
      let before = await stateIn(looker);
      let cuts = 0;
      // Of the one long transaction that makes everything on PostgreSQL, every third statement has to do.
      const stride = engine.name === 'postgres' && from === 0 ? 3 : 1;
      for (let n = 1; ; n += stride) {
        const cut = cutBefore(n);
        const outcome = await migrate(fresh, { timeline: longTimeline }).then(
          () => 'done',
          () => 'failed',
        );
        cut.restore();
        if (!cut.wasCut()) {
          expect(outcome).toBe('done');
          break;
        }
        cuts++;
        const after = await stateIn(looker);
        expect(states, `cut before statement ${n}`).toContain(after);
        // What is left is shorter: each of its statements has its turn too.
        if (after !== before) n = 1 - stride;
        before = after;
        // The lease of a runner that died is waited for elsewhere (test/upgrade/turn.test.ts); here it would only take time.
        if (engine.name === 'postgres') await looker.all('delete from schema_lease').catch(() => []);
      }
      expect(cuts).toBeGreaterThan(25);
      expect(await migrate(fresh, { timeline: longTimeline })).toEqual([]);
      expect(await stateIn(looker)).toBe(states.at(-1));
      expect(await ask(fresh, 'select * from deployment')).toHaveLength(1);
    },
  );
});

/** Starts a migration in a process of its own, which stops before a statement that matches, and stays there. */
async function stopped(fresh: FreshStorage, pattern: string): Promise<{ kill(): Promise<void> }> {
  const storage = JSON.stringify(fresh);
  const file = path.join(import.meta.dirname, 'migrate-child.ts');
  const child = spawn(process.execPath, [file, storage, pattern], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

/** Within a step in one transaction, where an index is built, and before what was done is kept. */
const KILL_POINTS = ['create table private_keys', '^create index .*users_nickname', '^commit$'];

describeEngines('a migrating process that is killed', (engine) => {
  it('leaves nothing that the next one cannot finish, wherever it was', async () => {
    const end = (await statesFrom(engine, 1)).at(-1);
    const killAt = async (point: string) => {
      await using fresh = await startingAt(engine, 1);
      await (await stopped(fresh, point)).kill();
      await migrate(fresh, { timeline: longTimeline });
      expect(await stateOf(fresh), point).toBe(end);
    };
    await Promise.all(KILL_POINTS.map(killAt));
  });
});

describe.skipIf(!engines.some(({ name }) => name === 'postgres'))(
  'a killed index build (needs the postgres engine)',
  () => {
    it('leaves an invalid index, which the next run replaces', async () => {
      await using fresh = await startingAt({ name: 'postgres' }, 1);
      await migrate(fresh, { timeline: longTimeline.slice(0, -1) });
      await using writer = await openSession(fresh);
      await writer.script("begin; update users set email = null where id = 'users-id-0'");
      const building = migrate(fresh, { timeline: longTimeline });
      building.catch(() => undefined);
      const found =
        "select pid from pg_stat_activity where query like 'create index concurrently%' and wait_event_type = 'Lock'";
      await expect.poll(() => ask(fresh, found), { timeout: 5000 }).toHaveLength(1);
      await ask(fresh, `select pg_terminate_backend(pid) from (${found}) building`);
      await expect(building).rejects.toMatchObject({ code: 'unavailable' });
      await writer.script('commit');
      const validity = "select indisvalid from pg_index where indexrelid = 'users_nickname'::regclass";
      expect(await ask(fresh, validity)).toEqual([{ indisvalid: false }]);
      await migrate(fresh, { timeline: longTimeline });
      expect(await ask(fresh, validity)).toEqual([{ indisvalid: true }]);
    });
  },
);
