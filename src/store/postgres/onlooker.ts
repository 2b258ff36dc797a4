import { silentLog } from '../../kernel/log.ts';
import { silentMeter } from '../../kernel/metrics.ts';
import { type Onlooker, readingStore } from '../onlooker.ts';
import { connectPool, type PostgresOptions } from './connect.ts';
import { fromPostgres } from './errors.ts';
import { PostgresStatements } from './transact.ts';

/** One connection to a database that answers. Failures: `unavailable`. */
export async function onlookPostgres(options: PostgresOptions): Promise<Onlooker> {
  const pool = connectPool({ ...options, maxConnections: 1 }, silentLog, silentMeter);
  const all = async (text: string): Promise<Record<string, unknown>[]> => {
    try {
      return (await pool.query(text)).rows;
    } catch (error) {
      throw fromPostgres(error);
    }
  };
  try {
    await all('select 1');
  } catch (error) {
    await pool.end();
    throw error;
  }
  return {
    store: readingStore(new PostgresStatements().on(pool), fromPostgres),
    all,
    async tables() {
      const rows = await all('select tablename from pg_tables where schemaname = current_schema()');
      return new Set(rows.map(({ tablename }) => String(tablename)));
    },
    close: () => pool.end(),
  };
}
