import { readFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { query } from '../../../test/setup/cluster.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../../../test/setup/engines.ts';
import { storageChoice } from '../../../test/setup/fresh-store.ts';
import { migrateSchema, planSchema, type StorageChoice } from '../../app/open-store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { Migration } from './migration.ts';
import { timeline } from './timeline.ts';

interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
}

/** The live schema: each table's columns, its primary key, and the columns that lead an index. */
interface LiveTable {
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[];
  readonly indexed: readonly string[];
}

type Rows = Record<string, unknown>[];
type Query = (sql: string) => Promise<Rows>;

describeEngines('migrations', (engine) => {
  let fresh: FreshStorage;
  let storage: StorageChoice;
  let ask: Query;
  const migrate = (steps = timeline) =>
    migrateSchema(storage, { clock: systemClock, random: systemRandom, timeline: steps });

  beforeEach(async () => {
    fresh = await freshStorage(engine);
    storage = storageChoice(fresh);
    ask = queryOf(fresh);
  });
  afterEach(() => fresh.dispose());

  const schema = () => (engine.name === 'sqlite' ? sqliteSchema(ask) : postgresSchema(ask));

  it('takes every step on an empty database, and none the second time', async () => {
    expect((await planSchema(storage)).pending).toEqual(timeline);
    expect(await migrate()).toEqual(timeline);
    const before = [await schema(), await ask('select * from deployment')];
    expect(await migrate()).toEqual([]);
    expect([await schema(), await ask('select * from deployment')]).toEqual(before);
    const { applied, pending } = await planSchema(storage);
    expect(applied.map((step) => step.version)).toEqual(timeline.map((step) => step.version));
    expect(pending).toEqual([]);
  });

  it('plans without touching anything', async () => {
    await planSchema(storage);
    expect(await schema()).toEqual(new Map());
  });

  it('refuses a database whose steps were edited, and leaves it alone', async () => {
    await migrate();
    await ask("update schema_migrations set checksum = 'another' where version = 1");
    const refusal = {
      code: 'refused',
      message: expect.stringContaining('other content'),
      hint: expect.any(String),
    };
    await expect(planSchema(storage)).rejects.toMatchObject(refusal);
    await expect(migrate()).rejects.toMatchObject(refusal);
  });

  it('refuses a database made by a newer version, and leaves it alone', async () => {
    await migrate();
    await ask(
      "insert into schema_migrations (version, name, checksum, applied_at) values (9999, 'future', 'c', 1)",
    );
    const refusal = {
      code: 'refused',
      message: expect.stringContaining('9999 (future)'),
      hint: expect.any(String),
    };
    await expect(planSchema(storage)).rejects.toMatchObject(refusal);
    await expect(migrate()).rejects.toMatchObject(refusal);
  });

  it('refuses what is in the way of a step before it writes anything', async () => {
    await ask('create table audit_events (in_the_way text primary key)');
    await expect(migrate()).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('1 (foundation) is to make: table audit_events'),
      hint: expect.stringMatching(/^If it is another program's, .*own\. .*drop table audit_events/),
    });
    expect([...(await schema()).keys()]).toEqual(['audit_events']);
    await ask('drop table audit_events');
    expect(await migrate()).toEqual(timeline);
    expect(await ask('select * from deployment')).toHaveLength(1);
  });

  it('undoes a step that fails midway', async () => {
    await migrate();
    const before = await schema();
    const broken = step(9001, [
      'create table halfway (id text primary key)',
      'insert into nowhere (id) values (1)',
    ]);
    await expect(migrate([...timeline, broken])).rejects.toThrow('nowhere');
    expect(await schema()).toEqual(before);
    expect((await planSchema(storage)).pending).toEqual([]);
  });

  it('gives every table a primary key, and an index on what expires', async () => {
    await migrate();
    const tables = await schema();
    expect(tables.size).toBeGreaterThan(15);
    for (const [table, { columns, primaryKey, indexed }] of tables) {
      expect(primaryKey, `${table} has a primary key`).not.toEqual([]);
      const expiring = columns.filter((column) => column.name === 'expires_at').map((column) => column.name);
      expect(indexed, `the expiry of ${table} is indexed`).toEqual(expect.arrayContaining(expiring));
    }
  });

  it('has exactly the tables and columns of records.ts', async () => {
    await migrate();
    const described = [...(await schema())].filter(([table]) => table !== 'schema_lease');
    const live = new Map(described.map(([table, { columns }]) => [table, byName(columns)]));
    expect(live).toEqual(await describedTables());
  });

  // On SQLite nobody else can run: the lock of the state directory keeps a second process out.
  if (engine.name === 'postgres') {
    it('takes each step once when four processes migrate at once', async () => {
      const taken = await Promise.all(Array.from({ length: 4 }, () => migrate()));
      expect(taken.flat()).toEqual(timeline);
      expect(await ask('select * from deployment')).toHaveLength(1);
    });
  }
});

function step(version: number, statements: Migration['statements']): Migration {
  return { version, name: `test-${version}`, release: '9.9.9', statements };
}

function queryOf(fresh: FreshStorage): Query {
  if (fresh.driver === 'postgres') return (sql) => query(fresh.dsn, sql);
  return async (sql) => {
    const db = new DatabaseSync(fresh.path);
    try {
      return db.prepare(sql).all();
    } finally {
      db.close();
    }
  };
}

function byName(columns: readonly Column[]): Column[] {
  return columns.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function sqliteSchema(ask: Query): Promise<Map<string, LiveTable>> {
  const tables = new Map<string, LiveTable>();
  const names = await ask("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'");
  for (const { name } of names) {
    const columns = await ask(`select name, type, "notnull", pk from pragma_table_info('${name}')`);
    const indexes = await ask(
      `select i.name from pragma_index_list('${name}') l, pragma_index_info(l.name) i where i.seqno = 0`,
    );
    tables.set(String(name), {
      columns: columns.map((column) => ({
        name: String(column['name']),
        type: String(column['type']).toLowerCase(),
        nullable: column['notnull'] === 0 && column['pk'] === 0,
      })),
      primaryKey: columns.filter((column) => column['pk'] !== 0).map((column) => String(column['name'])),
      indexed: indexes.map((index) => String(index['name'])),
    });
  }
  return tables;
}

async function postgresSchema(ask: Query): Promise<Map<string, LiveTable>> {
  const tables = new Map<string, LiveTable>();
  const names = await ask('select tablename from pg_tables where schemaname = current_schema()');
  for (const { tablename } of names) {
    const columns = await ask(
      `select column_name, data_type, is_nullable from information_schema.columns where table_name = '${tablename}'`,
    );
    const indexes = await ask(
      `select a.attname, i.indisprimary, k.n from pg_index i
       cross join lateral unnest(i.indkey) with ordinality k (attnum, n)
       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
       where i.indrelid = '${tablename}'::regclass`,
    );
    tables.set(String(tablename), {
      columns: columns.map((column) => ({
        name: String(column['column_name']),
        type: String(column['data_type']),
        nullable: column['is_nullable'] === 'YES',
      })),
      primaryKey: indexes.filter((index) => index['indisprimary']).map((index) => String(index['attname'])),
      indexed: indexes.filter((index) => index['n'] === '1').map((index) => String(index['attname'])),
    });
  }
  return tables;
}

/** The tables as records.ts describes them: `number` is bigint, anything else text, `| null` is nullable. */
async function describedTables(): Promise<Map<string, Column[]>> {
  const source = await readFile(new URL('../records.ts', import.meta.url), 'utf8');
  const interfaces = new Map<string, Column[]>();
  for (const [, name = '', body = ''] of source.matchAll(/export interface (\w+) \{\n(.*?)\n\}/gs)) {
    const members = body.matchAll(/^ {2}(\w+): ([^;]+);$/gm);
    const columns = Array.from(members, ([, column = '', type = '']) => ({
      name: column,
      type: type.replace(' | null', '') === 'number' ? 'bigint' : type,
      nullable: type.endsWith(' | null'),
    }));
    interfaces.set(name, columns);
  }
  const tables = new Map<string, Column[]>();
  for (const { name, type } of interfaces.get('Tables') ?? []) {
    const columns = (interfaces.get(type) ?? []).map((column) => ({
      ...column,
      type: column.type === 'bigint' ? 'bigint' : 'text',
    }));
    tables.set(name, byName(columns));
  }
  return tables;
}
