import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { query } from '../../../test/setup/cluster.ts';
import { engines, type FreshStorage, freshStorage } from '../../../test/setup/engines.ts';
import { silentLog } from '../../kernel/log.ts';
import type { PostgresOptions } from './connect.ts';
import { freeSchemaName, otherSessions, type SchemaSwap, schemaExists, swapSchemas } from './swap-schema.ts';

const isLeftOut = !engines.some(({ name }) => name === 'postgres');
const SWAP: SchemaSwap = { staged: 'staged', kept: 'kept', known: ['notes', 'gone'], isNewer: false };

/** Two databases of ours, and something of another program beside the live one. */
async function scene(): Promise<FreshStorage & { dsn: string; options: PostgresOptions }> {
  const fresh = await freshStorage({ name: 'postgres' });
  if (fresh.driver !== 'postgres') throw new TypeError('asked for postgres');
  await query(
    fresh.dsn,
    `create table notes (id text primary key); insert into notes values ('old');
     create table gone (id text references notes (id)); create table theirs (id text);
     create schema staged; create table staged.notes (id text primary key); insert into staged.notes values ('new');
     create table staged.pages (id text primary key, note text references staged.notes (id));
     create index pages_note on staged.pages (note)`,
  );
  const options = { dsn: fresh.dsn, maxConnections: 1, connectTimeout: 5000, statementTimeout: 5000 };
  return Object.assign(fresh, { options });
}

const tables = async (dsn: string) =>
  (
    await query(
      dsn,
      `select schemaname || '.' || tablename as name from pg_tables
       where schemaname in ('public', 'kept', 'staged') order by name`,
    )
  ).map(({ name }) => name);

const SWAPPED = ['kept.gone', 'kept.notes', 'public.notes', 'public.pages', 'public.theirs'];

describe.skipIf(isLeftOut)('the swap of schemas (needs the postgres engine)', () => {
  it('takes what is ours, keeps it whole beside, leaves the rest, and happens once', async () => {
    await using at = await scene();
    const role = `reader_${process.pid}_${Date.now()}`;
    await query(at.dsn, `create role ${role}; grant select on notes, gone to ${role}`);
    try {
      expect(await freeSchemaName(at.options, 'kept')).toBe('kept1');
      await swapSchemas(at.options, SWAP, { log: silentLog });
      expect(await tables(at.dsn)).toEqual(SWAPPED);
      expect(await query(at.dsn, 'select id from notes')).toEqual([{ id: 'new' }]);
      expect(await query(at.dsn, 'select id from kept.notes')).toEqual([{ id: 'old' }]);
      await expect(query(at.dsn, "insert into pages values ('p', 'no such note')")).rejects.toThrow(
        'foreign key',
      );
      expect(await query(at.dsn, `select has_table_privilege('${role}', 'notes', 'select') as may`)).toEqual([
        { may: true },
      ]);
      expect(await schemaExists(at.options, 'staged')).toBe(false);
      await swapSchemas(at.options, SWAP, { log: silentLog });
      expect(await tables(at.dsn)).toEqual(SWAPPED);
    } finally {
      await query(at.dsn, `drop owned by ${role}; drop role ${role}`);
    }
  });

  it('takes the tables of a newer program along, where the role owns them', async () => {
    await using at = await scene();
    await swapSchemas(at.options, { ...SWAP, isNewer: true }, { log: silentLog });
    expect(await tables(at.dsn)).toEqual([
      ...['kept.gone', 'kept.notes', 'kept.theirs'],
      ...['public.notes', 'public.pages'],
    ]);
  });

  it('waits for a lock, and changes nothing where it is never to be had', { timeout: 30_000 }, async () => {
    await using at = await scene();
    const before = await tables(at.dsn);
    const holder = new Client({ connectionString: at.dsn });
    await holder.connect();
    try {
      await holder.query('begin; lock table notes in access share mode');
      const parts = { log: silentLog, patience: 100 };
      await expect(swapSchemas(at.options, SWAP, parts)).rejects.toMatchObject({ code: 'unavailable' });
      expect(await tables(at.dsn)).toEqual(before);
      const swapping = swapSchemas(at.options, SWAP, { log: silentLog });
      await sleep(300);
      await holder.query('commit');
      await swapping;
      expect(await tables(at.dsn)).toEqual(SWAPPED);
    } finally {
      await holder.end();
    }
  });

  it('is undone by a server that came meanwhile', { timeout: 30_000 }, async () => {
    await using at = await scene();
    const before = await tables(at.dsn);
    const server = new Client({ connectionString: at.dsn, application_name: 'authserver listener' });
    await server.connect();
    try {
      expect(await otherSessions(at.options)).toHaveLength(1);
      const swapping = swapSchemas(at.options, SWAP, { log: silentLog });
      await expect(swapping).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('session'),
      });
      expect(await tables(at.dsn)).toEqual(before);
    } finally {
      await server.end();
    }
    await swapSchemas(at.options, SWAP, { log: silentLog });
    expect(await tables(at.dsn)).toEqual(SWAPPED);
  });

  it('into a place where nothing is to be refuses one where something is', async () => {
    await using at = await scene();
    const swapping = swapSchemas(at.options, { ...SWAP, kept: null }, { log: silentLog });
    await expect(swapping).rejects.toMatchObject({ code: 'refused' });
  });
});
