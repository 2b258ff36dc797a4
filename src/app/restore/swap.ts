/** The moment of a restore: the staged database takes the place of the present one, which is kept beside it. */
import path from 'node:path';
import type { Log } from '../../kernel/log.ts';
import { timeline } from '../../store/migrations/timeline.ts';
import { tablesAfter } from '../../store/sql/tables.ts';
import { lookAtSchema, type StorageChoice } from '../open-store.ts';
import type { Files } from './files.ts';
import type { Journal, PostgresPlace, SqlitePlace } from './journal.ts';
import { SIDECARS, STAGED_FILE } from './staging.ts';

/** The setting of a restored database that says which restore it came from: JSON, `{"id", "backup", "at"}`. */
export const RESTORE_SETTING = 'restore.last';

/**
 * Whether a restore whose journal says that it is swapping has happened. On SQLite the journal decides; on PostgreSQL the one
 * transaction does, which takes the staged schema along and leaves the id in the live tables.
 */
export async function isDecided(
  storage: StorageChoice,
  { id, place }: Pick<Journal, 'id' | 'place'>,
): Promise<boolean> {
  if (place.engine === 'sqlite' || storage.driver === 'sqlite') return true;
  const { schemaExists, settingIn } = await import('../../store/postgres/swap-schema.ts');
  if (await schemaExists(storage.postgres, place.staged)) return false;
  const setting = await settingIn(storage.postgres, RESTORE_SETTING);
  return setting !== undefined && (JSON.parse(setting) as { id?: string }).id === id;
}

/**
 * While the staged file is there, what lies in its place is the former database, or a part of it: so a process that dies
 * between any two of these steps is followed by one that takes the rest. Log and journal go before their database: SQLite
 * would play them into whatever file has its name.
 */
export async function swapFiles(files: Files, { database, staged, kept }: SqlitePlace): Promise<void> {
  const fresh = path.join(staged, STAGED_FILE);
  if (await files.exists(fresh)) {
    for (const suffix of kept === null ? [] : [...SIDECARS, '']) {
      if (await files.exists(database + suffix)) await files.move(database + suffix, kept + suffix);
    }
    await files.move(fresh, database);
  }
  await files.remove(staged);
}

/** One transaction. Failures: those of `swapSchemas`; nothing has changed then, unless the connection broke. */
export async function swapTables(
  storage: StorageChoice,
  { staged, kept }: PostgresPlace,
  parts: { readonly log: Log; readonly signal?: AbortSignal },
): Promise<void> {
  if (storage.driver !== 'postgres') throw new TypeError('a schema is in a PostgreSQL database');
  const { swapSchemas } = await import('../../store/postgres/swap-schema.ts');
  const { applied } = await lookAtSchema(storage);
  const isNewer = applied.some(({ version }) => !timeline.some((step) => step.version === version));
  await swapSchemas(storage.postgres, { staged, kept, known: tablesEver(), isNewer }, parts);
}

/** Our tables after each step of the schema: also of those that a later step has taken away. */
function tablesEver(): readonly string[] {
  const after = timeline.flatMap((_, index) => tablesAfter(timeline.slice(0, index + 1)));
  return [...new Set([...after.map(({ name }) => name), 'schema_lease'])];
}
