import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type Onlooker, readingStore } from '../onlooker.ts';
import { connectOnlooker, LOCK_PATIENCE } from './connect.ts';
import { fromSqlite, translated } from './errors.ts';
import { SqliteStatements } from './transact.ts';

/** sqlite.org/fileformat.html sections 1.3.3 and 3. */
const WAL_VERSION = 2;
const READ_VERSION_AT = 19;
const JOURNAL_MAGIC = 'd9d505f920a163d7';

/** Opens a database file that is there. Failures: `unavailable` when it cannot be read. */
export function onlookSqlite(path: string): Onlooker {
  const db = translated(() => connect(path));
  const all = (text: string) => translated(() => db.prepare(text).all());
  return {
    store: readingStore(new SqliteStatements(db), fromSqlite),
    all: async (text) => all(text),
    async tables() {
      const rows = all("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'");
      return new Set(rows.map(({ name }) => String(name)));
    },
    async close() {
      db.close();
    },
  };
}

/** Of the library in this process. */
export function sqliteVersion(): string {
  const db = new DatabaseSync(':memory:');
  try {
    return String(db.prepare('select sqlite_version() as version').get()?.['version']);
  } finally {
    db.close();
  }
}

/** What is wrong with the pages of a file, the first few; empty where nothing is. Reads all of it, in this thread. */
export function checkPages(path: string): readonly string[] {
  const db = translated(() => connect(path));
  try {
    return db
      .prepare('pragma quick_check(5)')
      .all()
      .map((row) => String(row['quick_check']))
      .filter((line) => line !== 'ok');
  } catch (error) {
    // Damage at the root of a table ends the search itself.
    return [error instanceof Error ? error.message : String(error)];
  } finally {
    db.close();
  }
}

/** How the file keeps its commits, from its header: nothing has to open it. Undefined where it has none (yet). */
export function journalOf(path: string): 'wal' | 'rollback' | undefined {
  const header = firstBytes(path, 100);
  if (header.length < 100) return undefined;
  return header[READ_VERSION_AT] === WAL_VERSION ? 'wal' : 'rollback';
}

/** A rollback journal that whoever opens the database to write would play back into it. */
export function hotJournalOf(path: string): string | undefined {
  const journal = `${path}-journal`;
  return firstBytes(journal, 8).toString('hex') === JOURNAL_MAGIC ? journal : undefined;
}

/**
 * Read-only where that leaves no traces. It would, beside a database in WAL mode that nobody has open; but a connection that
 * may write would put away a log that a killed server has left, which is for the next start to do.
 */
function connect(path: string): DatabaseSync {
  const isAtRest = journalOf(path) === 'wal' && !existsSync(`${path}-wal`);
  if (!isAtRest) return new DatabaseSync(path, { readOnly: true, timeout: LOCK_PATIENCE });
  const db = connectOnlooker({ path });
  db.exec('pragma query_only = on');
  return db;
}

function firstBytes(path: string, length: number): Buffer {
  if (!existsSync(path)) return Buffer.alloc(0);
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, 0));
  } finally {
    closeSync(file);
  }
}
