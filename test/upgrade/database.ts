// Owns databases of older schema versions, and ways to look at one from outside: its rows, its schema.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { migrateSchema, type SchemaOptions, withSchema } from '../../src/app/open-store.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { digestOfCatalog } from '../../src/store/migrations/digest.ts';
import type { Migration } from '../../src/store/migrations/migration.ts';
import { postgresCatalog } from '../../src/store/postgres/catalog.ts';
import type { CompiledText } from '../../src/store/sql/compiled.ts';
import { sqliteCatalog } from '../../src/store/sqlite/catalog.ts';
import type { FreshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';

const FIXTURES = path.join(import.meta.dirname, '..', 'fixtures', 'schema');

/** Every schema version that has a fixture. */
export const fixtureVersions: readonly number[] = readdirSync(FIXTURES)
  .map(Number)
  .sort((a, b) => a - b);

export type Row = Readonly<Record<string, unknown>>;

/** A connection of the test's own, in the words of both engines. */
export interface Session extends AsyncDisposable {
  /** Many statements in one text, without values. */
  script(text: string): Promise<void>;
  all(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The schema as one value. */
  digest(): Promise<string>;
}

export async function openSession(fresh: FreshStorage): Promise<Session> {
  if (fresh.driver === 'sqlite') {
    const db = new DatabaseSync(fresh.path, { enableForeignKeyConstraints: true });
    return {
      script: async (text) => db.exec(text),
      all: async (text, values = []) => db.prepare(text).all(...(values as string[])),
      digest: async () => digestOfCatalog(sqliteCatalog(db)),
      [Symbol.asyncDispose]: async () => db.close(),
    };
  }
  const client = new Client({ connectionString: fresh.dsn });
  client.on('error', () => undefined);
  await client.connect();
  const all: Session['all'] = async (text, values = []) => (await client.query(text, [...values])).rows;
  return {
    script: async (text) => {
      await client.query(text);
    },
    all,
    digest: async () => digestOfCatalog(await postgresCatalog(all)),
    [Symbol.asyncDispose]: () => client.end(),
  };
}

/** Runs a script on a connection of its own. */
export async function script(fresh: FreshStorage, text: string): Promise<void> {
  await using session = await openSession(fresh);
  await session.script(text);
}

export async function ask(fresh: FreshStorage, text: string): Promise<readonly Row[]> {
  await using session = await openSession(fresh);
  return await session.all(text);
}

/** Fills an empty database with that of a schema version. */
export function loadFixture(fresh: FreshStorage, version: number): Promise<void> {
  return script(fresh, readFileSync(path.join(FIXTURES, String(version), 'database.sql'), 'utf8'));
}

/** The statements that the program of a schema version runs, by name. */
export function statementsOf(version: number): Readonly<Record<string, CompiledText>> {
  const file = path.join(FIXTURES, String(version), 'compiled-statements.json');
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, CompiledText>;
}

/** Migrates as the program does, by default with its own steps. */
export function migrate(fresh: FreshStorage, options: SchemaOptions = {}): Promise<readonly Migration[]> {
  return migrateSchema(storageChoice(fresh), { clock: systemClock, random: systemRandom, ...options });
}

export async function digestOf(fresh: FreshStorage): Promise<string> {
  await using session = await openSession(fresh);
  return await session.digest();
}

/** All rows of all tables, each table in the order of all its columns. */
export async function rowsOf(fresh: FreshStorage): Promise<ReadonlyMap<string, readonly Row[]>> {
  const tables = await withSchema(storageChoice(fresh), {}, (db) => db.tables());
  await using session = await openSession(fresh);
  const found = new Map<string, readonly Row[]>();
  for (const table of tables) {
    if (table === 'schema_lease') continue;
    const rows = await session.all(`select * from ${table}`);
    const byText = (row: Row) => JSON.stringify(Object.entries(row).sort());
    found.set(
      table,
      [...rows].sort((a, b) => (byText(a) < byText(b) ? -1 : 1)),
    );
  }
  return found;
}
