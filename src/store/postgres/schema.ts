import { Client } from 'pg';
import type { SchemaConnection } from '../migrations/migrate.ts';
import { type PostgresOptions, typeParsers } from './connect.ts';
import { fromPostgres } from './errors.ts';

/** Names our migration lock among the advisory locks of this database. */
const MIGRATION_LOCK = 4_179_340_452_001;

export async function openPostgresSchema(options: PostgresOptions): Promise<SchemaConnection> {
  const client = new Client({
    connectionString: options.dsn,
    connectionTimeoutMillis: options.connectTimeout,
    types: typeParsers as never,
  });
  client.on('error', () => {});
  const query = async (text: string, values: readonly unknown[] = []) => {
    try {
      return await client.query(text, [...values]);
    } catch (error) {
      throw fromPostgres(error);
    }
  };
  try {
    await client.connect();
  } catch (error) {
    throw fromPostgres(error);
  }
  return {
    all: async (text, values) => (await query(text, values)).rows,
    run: async (text, values) => {
      await query(text, values);
    },
    async hasTable(name) {
      const text = 'select 1 from pg_tables where schemaname = current_schema() and tablename = $1';
      return (await query(text, [name])).rows.length > 0;
    },
    async exclusively(work) {
      await query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
      try {
        return await work();
      } finally {
        await query('select pg_advisory_unlock($1)', [MIGRATION_LOCK]);
      }
    },
    placeholder: (n) => `$${n}`,
    close: () => client.end(),
  };
}
