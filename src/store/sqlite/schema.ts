import {
  BOOKKEEPING,
  type SchemaConnection,
  type SchemaParts,
  type TurnAlone,
} from '../migrations/connection.ts';
import { sqliteCatalog } from './catalog.ts';
import { endChain } from './change-log.ts';
import { connectOnlooker, connectWriter, type SqliteOptions } from './connect.ts';
import { translated } from './errors.ts';

const NAMES = `select type || ' ' || name as name from sqlite_schema where type in ('table', 'index')
  union all select 'column ' || t.name || '.' || c.name from sqlite_schema t join pragma_table_info(t.name) c
  where t.type = 'table'`;

/**
 * A connection for migrations; open it before the writer thread or after it. The lock of the state directory keeps other
 * processes out, and the kernel takes it from whoever dies: a lease on top would only make the next start wait for its term.
 */
export function openSqliteSchema(
  options: SqliteOptions,
  { onlyLook = false }: Pick<SchemaParts, 'onlyLook'>,
): SchemaConnection {
  const db = onlyLook ? connectOnlooker(options) : connectWriter(options);
  const all = async (text: string, values: readonly unknown[] = []) =>
    translated(() => db.prepare(text).all(...(values as string[])));
  const run = async (text: string, values: readonly unknown[] = []) =>
    translated(() => Number(db.prepare(text).run(...(values as string[])).changes));
  const turn: TurnAlone = {
    alone: true,
    async transact(work) {
      await run('begin immediate');
      try {
        await run(BOOKKEEPING);
        const value = await work();
        // What follows is rows of another schema.
        endChain(db);
        await run('commit');
        return value;
      } catch (error) {
        // When the connection is gone the database rolls back by itself, and the first error tells more.
        await run('rollback').catch(() => {});
        throw error;
      }
    },
  };
  return {
    engine: 'sqlite',
    all,
    run,
    placeholder: () => '?',
    schema: async () => 'main',
    async tables() {
      const rows = await all(
        "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'",
      );
      return new Set(rows.map(({ name }) => String(name)));
    },
    async rowsIn(table) {
      const [row] = await all(`select count(*) as rows from ${table}`);
      return { rows: Number(row?.['rows']), exact: true };
    },
    names: async () => new Set((await all(NAMES)).map(({ name }) => String(name))),
    catalog: async () => translated(() => sqliteCatalog(db)),
    exclusively: (work) => work(turn),
    async close() {
      db.close();
    },
  };
}
