import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Random } from '../kernel/random.ts';
import {
  type MigrationPlan,
  planMigrations,
  runMigrations,
  type SchemaConnection,
} from '../store/migrations/migrate.ts';
import type { Migration } from '../store/migrations/migration.ts';
import type { PostgresOptions } from '../store/postgres/connect.ts';
import type { SqliteOptions } from '../store/sqlite/connect.ts';
import type { Store } from '../store/store.ts';

/** Which database, as app/ understood the configuration. */
export type StorageChoice =
  | { readonly driver: 'sqlite'; readonly sqlite: SqliteOptions }
  | { readonly driver: 'postgres'; readonly postgres: PostgresOptions };

/** Opens the store on a migrated database. Drivers are loaded when chosen: SQLite users never pay for `pg`. */
export async function openStore(storage: StorageChoice, log: Log): Promise<Store> {
  if (storage.driver === 'sqlite') {
    const { openSqlite } = await import('../store/sqlite/open.ts');
    return openSqlite(storage.sqlite, log);
  }
  const { openPostgres } = await import('../store/postgres/open.ts');
  return openPostgres(storage.postgres, log);
}

/** What a migration would do. @throws Failure `refused` where a guard says no. */
export async function planSchema(storage: StorageChoice): Promise<MigrationPlan> {
  return withSchema(storage, planMigrations);
}

/** Migrates; answers the steps taken, none on a current database. */
export async function migrateSchema(
  storage: StorageChoice,
  parts: { clock: Clock; random: Random },
): Promise<readonly Migration[]> {
  return withSchema(storage, (db) => runMigrations(db, parts));
}

async function withSchema<T>(storage: StorageChoice, work: (db: SchemaConnection) => Promise<T>): Promise<T> {
  const db = await openSchema(storage);
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

async function openSchema(storage: StorageChoice): Promise<SchemaConnection> {
  if (storage.driver === 'sqlite') {
    mkdirSync(dirname(storage.sqlite.path), { recursive: true, mode: 0o700 });
    const { openSqliteSchema } = await import('../store/sqlite/schema.ts');
    return openSqliteSchema(storage.sqlite);
  }
  const { openPostgresSchema } = await import('../store/postgres/schema.ts');
  return openPostgresSchema(storage.postgres);
}
