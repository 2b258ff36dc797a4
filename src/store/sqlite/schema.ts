import type { SchemaConnection } from '../migrations/migrate.ts';
import { connectWriter, type SqliteOptions } from './connect.ts';
import { fromSqlite } from './errors.ts';

/** A connection for migrations; open it before the writer thread or after it. Other processes are kept out by the lock of the state directory. */
export function openSqliteSchema(options: SqliteOptions): SchemaConnection {
  const db = connectWriter(options);
  const all = async (text: string, values: readonly unknown[] = []) => {
    try {
      return db.prepare(text).all(...(values as string[]));
    } catch (error) {
      throw fromSqlite(error);
    }
  };
  return {
    all,
    async run(text, values = []) {
      try {
        db.prepare(text === 'begin' ? 'begin immediate' : text).run(...(values as string[]));
      } catch (error) {
        throw fromSqlite(error);
      }
    },
    hasTable: async (name) =>
      (await all(`select 1 from sqlite_schema where type = 'table' and name = ?`, [name])).length > 0,
    exclusively: (work) => work(),
    placeholder: () => '?',
    async close() {
      db.close();
    },
  };
}
