import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { type Log, silentLog } from '../kernel/log.ts';
import type { Meter } from '../kernel/metrics.ts';
import type { Random } from '../kernel/random.ts';
import type { SchemaConnection, SchemaParts, SchemaTiming } from '../store/migrations/connection.ts';
import { runMigrations } from '../store/migrations/migrate.ts';
import type { Migration } from '../store/migrations/migration.ts';
import { type MigrationPlan, planMigrations, readSchema } from '../store/migrations/plan.ts';
import type { Onlooker } from '../store/onlooker.ts';
import type { PostgresOptions } from '../store/postgres/connect.ts';
import type { SqliteOptions } from '../store/sqlite/connect.ts';
import type { Store } from '../store/store.ts';

/** Which database, as app/ understood the configuration. */
export type StorageChoice =
  | { readonly driver: 'sqlite'; readonly sqlite: SqliteOptions }
  | { readonly driver: 'postgres'; readonly postgres: PostgresOptions };

/** Opens the store on a migrated database. Drivers are loaded when chosen: SQLite users never pay for `pg`. */
export async function openStore(
  storage: StorageChoice,
  log: Log,
  meter?: Meter,
  clock?: Clock,
): Promise<Store> {
  if (storage.driver === 'sqlite') {
    const { openSqlite } = await import('../store/sqlite/open.ts');
    return openSqlite(storage.sqlite, log, { ...(meter && { meter }), ...(clock && { clock }) });
  }
  const { openPostgres } = await import('../store/postgres/open.ts');
  return openPostgres(storage.postgres, log, meter);
}

/** Opens a database that is there, to look at it alone. Failures: `unavailable`. */
export async function openOnlooker(storage: StorageChoice): Promise<Onlooker> {
  if (storage.driver === 'sqlite') {
    const { onlookSqlite } = await import('../store/sqlite/onlooker.ts');
    return onlookSqlite(storage.sqlite.path);
  }
  const { onlookPostgres } = await import('../store/postgres/onlooker.ts');
  return onlookPostgres(storage.postgres);
}

/** What goes on while a schema is changed, beside the clock and the dice. */
export interface SchemaOptions {
  readonly log?: Log;
  readonly stop?: AbortSignal;
  /** For tests, which cannot wait as long as operators can. */
  readonly timing?: Partial<SchemaTiming>;
  /** Nothing is to be written. */
  readonly onlyLook?: boolean;
  /** For tests: other steps than this program's. */
  readonly timeline?: readonly Migration[];
}

/** What a migration would do. @throws Failure `refused` where a guard says no. */
export async function planSchema(
  storage: StorageChoice,
  options: SchemaOptions = {},
): Promise<MigrationPlan> {
  return withSchema(storage, { ...options, onlyLook: true }, (db) => planMigrations(db, options.timeline));
}

/** What the database has and lacks, for a program that serves on it already. */
export async function lookAtSchema(storage: StorageChoice): Promise<MigrationPlan> {
  return withSchema(storage, { onlyLook: true }, (db) => readSchema(db));
}

/** Migrates, without asking for a backup; answers the steps taken, none on a current database. */
export async function migrateSchema(
  storage: StorageChoice,
  { clock, random, ...options }: { clock: Clock; random: Random } & SchemaOptions,
): Promise<readonly Migration[]> {
  return withSchema(storage, options, (db) =>
    runMigrations(db, { clock, random, log: silentLog, ...options }),
  );
}

/** A connection that may change the schema, for as long as `work` takes. */
export async function withSchema<T>(
  storage: StorageChoice,
  { log = silentLog, stop, timing, onlyLook = false }: SchemaOptions,
  work: (db: SchemaConnection) => Promise<T>,
): Promise<T> {
  const db = await openSchema(storage, { log, onlyLook, ...(stop && { stop }), ...(timing && { timing }) });
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

async function openSchema(storage: StorageChoice, parts: SchemaParts): Promise<SchemaConnection> {
  if (storage.driver === 'sqlite') {
    if (!parts.onlyLook) mkdirSync(dirname(storage.sqlite.path), { recursive: true, mode: 0o700 });
    const { openSqliteSchema } = await import('../store/sqlite/schema.ts');
    return openSqliteSchema(storage.sqlite, parts);
  }
  const { openPostgresSchema } = await import('../store/postgres/schema.ts');
  return openPostgresSchema(storage.postgres, parts);
}
