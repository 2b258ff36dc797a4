import { Client } from 'pg';
import type { SchemaConnection } from '../migrations/migrate.ts';
import type { PostgresOptions } from './connect.ts';
import { fromPostgres } from './errors.ts';

/** Names our migration lock among the advisory locks of this database. */
const MIGRATION_LOCK = 4_179_340_452_001;

export async function openPostgresSchema(options: PostgresOptions): Promise<SchemaConnection> {
  const client = new Client({
    connectionString: options.dsn,
    connectionTimeoutMillis: options.connectTimeout,
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
    all: async (text, values) => (await query(text, values)).rows.map(numbersOfVersions),
    run: async (text, values) => {
      await query(text, values);
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

/** bigint columns arrive as text on this plain connection. */
function numbersOfVersions(row: Record<string, unknown>): Record<string, unknown> {
  const { version, applied_at } = row;
  return version === undefined ? row : { ...row, version: Number(version), applied_at: Number(applied_at) };
}
