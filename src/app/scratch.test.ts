import { execFileSync } from 'node:child_process';
import { chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeEngines, type FreshStorage, freshStorage } from '../../test/setup/engines.ts';
import { openFreshStore, storageChoice } from '../../test/setup/fresh-store.ts';
import { systemClock } from '../kernel/clock.ts';
import { silentLog } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import { freeSchemaName } from '../store/postgres/swap-schema.ts';
import { migrateSchema, openStore } from './open-store.ts';
import { openScratch } from './scratch.ts';
import { writeState } from './state-dir.ts';

describeEngines('a scratch place', (engine) => {
  let fresh: FreshStorage;
  let parent: string;
  beforeEach(async () => {
    fresh = await freshStorage(engine);
    parent = await mkdtemp(path.join(tmpdir(), 'authserver-scratch-'));
  });
  afterEach(async () => {
    await fresh.dispose();
    await rm(parent, { recursive: true });
  });

  it('has others beside it, and removes what a killed process has left', async () => {
    const storage = storageChoice(fresh);
    // Left behind: nobody holds its lock.
    await mkdir(path.join(parent, 'scratch-dead00'));
    await writeFile(path.join(parent, 'scratch-dead00', 'secret.pem'), 'a key');
    if (fresh.driver === 'postgres') {
      await query(fresh.dsn, 'create schema authserver_scratch_0123456789ab');
      // What a restore had put aside there.
      await query(fresh.dsn, 'create schema authserver_scratch_0123456789ab_before_1');
      await query(fresh.dsn, 'create table authserver_scratch_0123456789ab_before_1.users (id text)');
      await writeFile(path.join(parent, 'scratch-dead00', 'schema'), 'authserver_scratch_0123456789ab');
    }
    {
      await using one = await openScratch(storage, parent);
      await using two = await openScratch(storage, parent);
      expect(new Set(await readdir(parent))).toEqual(
        new Set([path.basename(one.folder), path.basename(two.folder)]),
      );
      expect(sweptByAnother(parent)).toHaveLength(2);
    }
    expect(await readdir(parent)).toEqual([]);
    if (fresh.driver === 'postgres') expect(await query(fresh.dsn, SCRATCHES)).toEqual([]);
  });

  it.runIf(engine.name === 'postgres')('forgets no schema over a sweep that cannot reach it', async () => {
    const left = path.join(parent, 'scratch-dead00');
    await mkdir(left);
    await writeFile(path.join(left, 'schema'), 'authserver_scratch_0123456789ab');
    await writeFile(path.join(left, 'secret.pem'), 'a key');
    sweptByAnother(parent);
    expect((await readdir(left)).sort()).toEqual(['lock', 'schema']);
  });

  // A drill that was killed while its copy proved a backup, or restored one.
  it.runIf(engine.name === 'postgres').each([0, 1])(
    'removes what was within one that a killed process has left, after %i sweeps that cannot reach it',
    async (sweeps) => {
      if (fresh.driver !== 'postgres') throw new Error('not PostgreSQL');
      const outer = path.join(parent, 'scratch-dead00');
      const inner = path.join(outer, 'state', 'scratch', 'scratch-dead01');
      const innermost = path.join(inner, 'state', 'scratch', 'scratch-dead02');
      await mkdir(innermost, { recursive: true });
      const places = [outer, inner, innermost];
      for (const [nth, place] of places.entries()) {
        const schema = `authserver_scratch_0123456789a${nth}`;
        await query(fresh.dsn, `create schema ${schema}`);
        await query(fresh.dsn, `create table ${schema}.users (id text)`);
        await writeFile(path.join(place, 'schema'), schema);
      }
      await writeFile(path.join(inner, 'secret.pem'), 'a key');
      for (let swept = 0; swept < sweeps; swept++) {
        sweptByAnother(parent);
        expect((await readdir(outer)).sort()).toEqual(['lock', 'schema']);
      }
      await using _ = await openScratch(storageChoice(fresh), parent);
      expect(await query(fresh.dsn, SCRATCHES)).toHaveLength(1);
      expect(await readdir(parent)).toHaveLength(1);
    },
  );

  it.runIf(engine.name === 'postgres')('is not kept from a sweep by a note that was cut off', async () => {
    await mkdir(path.join(parent, 'scratch-dead00'));
    await writeFile(path.join(parent, 'scratch-dead00', 'schema'), '');
    await using scratch = await openScratch(storageChoice(fresh), parent);
    expect(await readdir(parent)).toEqual([path.basename(scratch.folder)]);
  });

  it.runIf(engine.name === 'postgres')('takes along what a restore has put aside in it', async () => {
    const storage = storageChoice(fresh);
    const schemas = () => query(storage.driver === 'postgres' ? storage.postgres.dsn : '', SCRATCHES);
    {
      await using scratch = await openScratch(storage, parent);
      if (scratch.storage.driver !== 'postgres') throw new Error('not PostgreSQL');
      const kept = await freeSchemaName(scratch.storage.postgres, 'authserver_before_');
      await query(scratch.storage.postgres.dsn, `create schema ${kept}`);
      expect(await schemas()).toHaveLength(2);
    }
    expect(await schemas()).toEqual([]);
  });

  it.runIf(process.getuid?.() === 0)(
    'of root leaves nothing that the user of the server could not go on with',
    async () => {
      await chown(parent, 4321, 4321);
      const inside = path.join(parent, 'scratch');
      await using scratch = await openScratch(storageChoice(fresh), inside);
      writeState(parent, 'verify-ledger.json', '{}');
      const places = [
        inside,
        scratch.folder,
        path.join(scratch.folder, 'lock'),
        path.join(parent, 'verify-ledger.json'),
      ];
      for (const place of places) expect((await stat(place)).uid, place).toBe(4321);
    },
  );

  it.runIf(engine.name === 'postgres')(
    'is not heard where the servers of the live database listen',
    async () => {
      const storage = storageChoice(fresh);
      await (await openFreshStore(storage)).close();
      await using scratch = await openScratch(storage, parent);
      await migrateSchema(scratch.storage, { clock: systemClock, random: systemRandom });
      const copy = await openStore(scratch.storage, silentLog);
      const heard = await listening(fresh.driver === 'postgres' ? fresh.dsn : '', async () => {
        expect((await copy.keys.addFirst({ key: KEY })).outcome).toBe('added');
      });
      await copy.close();
      expect(heard).toEqual(['the end']);
    },
  );
});

const SCRATCHES = "select nspname from pg_namespace where nspname like '%scratch%'";

/** What is announced to servers while something is done. */
async function listening(dsn: string, work: () => Promise<void>): Promise<string[]> {
  const client = new Client({ connectionString: dsn });
  await client.connect();
  const heard: string[] = [];
  const end = Promise.withResolvers<void>();
  client.on('notification', ({ payload = '' }) => {
    heard.push(payload);
    if (payload === 'the end') end.resolve();
  });
  await client.query('listen authserver_changes');
  await work();
  // PostgreSQL delivers in the order of the commits.
  await client.query("select pg_notify('authserver_changes', 'the end')");
  await end.promise;
  await client.end();
  return heard;
}

/** What another process finds there after it has opened and closed a scratch place of its own on SQLite. */
function sweptByAnother(parent: string): string[] {
  const script = `import { openScratch } from ${JSON.stringify(path.join(import.meta.dirname, 'scratch.ts'))};
    const own = await openScratch({ driver: 'sqlite', sqlite: { path: '', wal: true } }, ${JSON.stringify(parent)});
    await own[Symbol.asyncDispose]();`;
  execFileSync(process.execPath, ['--input-type=module', '--eval', script]);
  return execFileSync('ls', [parent]).toString().trim().split('\n');
}

async function query(dsn: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: dsn });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const KEY = {
  kid: 'k',
  algorithm: 'ES256',
  state: 'active',
  public_jwk_json: '{}',
  key_store: 'keyfile',
  created_at: 1,
  activates_at: 1,
  activated_at: 1,
  retires_at: null,
  retired_at: null,
} as const;
