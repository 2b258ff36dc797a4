import { Client } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { SchemaConnection, SchemaParts } from '../migrations/connection.ts';
import { postgresCatalog, postgresNames } from './catalog.ts';
import { type PostgresOptions, typeParsers } from './connect.ts';
import { fromPostgres } from './errors.ts';
import { MigrationTurn } from './migration-turn.ts';
import { SideConnection } from './side-connection.ts';

const GRANT =
  'Let the role of storage.postgres.dsn own its tables and use the schema: `grant usage, create on schema NAME to ROLE`.';

/** A connection for migrations. Another one is opened while they run: it renews the lease and sees who holds locks. */
export async function openPostgresSchema(
  options: PostgresOptions,
  parts: SchemaParts,
): Promise<SchemaConnection> {
  const connect = () => connectClient(options);
  const client = await connect();
  const query = async (text: string, values: readonly unknown[] = []) => {
    try {
      return await client.query(text, [...values]);
    } catch (error) {
      throw explained(error);
    }
  };
  const all: SchemaConnection['all'] = async (text, values) => (await query(text, values)).rows;
  return {
    engine: 'postgres',
    all,
    run: async (text, values) => (await query(text, values)).rowCount ?? 0,
    placeholder: (n) => `$${n}`,
    async schema() {
      const [row] = await all('select current_schema() as schema');
      if (typeof row?.['schema'] === 'string') return row['schema'];
      throw new Failure('refused', 'The connection finds no schema to keep its tables in.', {
        detail: 'none of those in search_path exists, or its role may not use them',
        hint: `Make the schema, or correct search_path. ${GRANT}`,
      });
    },
    async tables() {
      const rows = await all('select tablename from pg_tables where schemaname = current_schema()');
      return new Set(rows.map(({ tablename }) => String(tablename)));
    },
    async rowsIn(table) {
      // Negative for a table that was never analyzed.
      const [row] = await all(
        `select (case when reltuples < 0 then pg_stat_get_live_tuples(oid) else reltuples end)::bigint as rows
         from pg_class where oid = to_regclass($1)`,
        [table],
      );
      return { rows: Number(row?.['rows'] ?? 0), exact: false };
    },
    names: () => postgresNames(all),
    catalog: () => postgresCatalog(all),
    async exclusively(work) {
      const side = new SideConnection(await connect());
      try {
        const turn = await MigrationTurn.take(client, side, parts);
        try {
          return await work(turn);
        } finally {
          await turn.release();
        }
      } catch (error) {
        throw explained(error);
      } finally {
        await side.close();
      }
    },
    close: () => client.end(),
  };
}

const INSUFFICIENT_PRIVILEGE = '42501';

/** A missing right is nothing that passes, and nothing on our side. */
function explained(error: unknown): unknown {
  if ((error as { code?: unknown }).code !== INSUFFICIENT_PRIVILEGE) return fromPostgres(error);
  const { message } = error as Error;
  return new Failure('refused', 'The role of the connection may not do what the migration has to.', {
    detail: message,
    hint: GRANT,
    cause: error,
  });
}

async function connectClient(options: PostgresOptions): Promise<Client> {
  const client = new Client({
    connectionString: options.dsn,
    connectionTimeoutMillis: options.connectTimeout,
    application_name: 'authserver migrate',
    keepAlive: true,
    types: typeParsers as never,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    throw fromPostgres(error);
  }
}
