/** The database file, from outside and page by page. */
import { existsSync, statSync } from 'node:fs';
import { type Absent, absent, type Facts, type IntegrityFacts } from '../../ops/doctor/facts.ts';
import type { Visit } from './visit.ts';

/** A larger file is read to its end only when somebody asks for it. */
const LARGE = 2 ** 30;

const NOT_SQLITE = absent('the database is PostgreSQL');
const NO_FILE = absent('there is no database file yet');

export async function gatherSqliteLibrary({ config }: Visit): Promise<Facts['sqliteLibrary'] | Absent> {
  if (config.storage.driver !== 'sqlite') return NOT_SQLITE;
  const { sqliteVersion } = await import('../../store/sqlite/onlooker.ts');
  return { version: sqliteVersion() };
}

export async function gatherSqliteFile(visit: Visit): Promise<Facts['sqliteFile'] | Absent> {
  const { driver, sqlite } = visit.config.storage;
  if (driver !== 'sqlite') return NOT_SQLITE;
  const { hotJournalOf, journalOf } = await import('../../store/sqlite/onlooker.ts');
  const journal = journalOf(sqlite.path);
  if (journal === undefined) return NO_FILE;
  // The journal of a server that runs is at work, not left behind.
  const hotJournal = (await visit.serverRuns()) ? undefined : hotJournalOf(sqlite.path);
  return { path: sqlite.path, journal, wantsWal: sqlite.wal, hotJournal };
}

export async function gatherIntegrity(visit: Visit): Promise<IntegrityFacts | Absent> {
  const { driver, sqlite } = visit.config.storage;
  if (driver !== 'sqlite') return NOT_SQLITE;
  if (!existsSync(sqlite.path)) return NO_FILE;
  const { size } = statSync(sqlite.path);
  const skip = (skipped: string): IntegrityFacts => ({ problems: undefined, skipped });
  if (size > LARGE && !visit.deep)
    return skip(
      'the file is larger than 1 GiB; to read all of it: authserver doctor --only sqlite-integrity --deep',
    );
  const { checkPages, journalOf } = await import('../../store/sqlite/onlooker.ts');
  if (journalOf(sqlite.path) === 'rollback' && (await visit.serverRuns()))
    return skip(
      'the server would have to wait meanwhile (storage.sqlite.wal is false); stop it, then try again',
    );
  const looked = await visit.database();
  if ('absent' in looked) return looked;
  // A damaged file may be all that is wrong with a database that does not answer.
  return { problems: checkPages(sqlite.path), skipped: '' };
}
