/** A database that is put together beside the one whose place it is to take: on the same file system, or in the same server. */
import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import type { StorageChoice } from '../open-store.ts';
import type { Files } from './files.ts';
import type { Place } from './journal.ts';

/** The file within the folder of a staged SQLite database. */
export const STAGED_FILE = 'authserver.db';
/** What SQLite keeps beside a database. The log comes first when files are moved: it must never meet another database. */
export const SIDECARS = ['-journal', '-wal', '-shm'] as const;

const USUAL_PORT = '5432';
const BEFORE_FILE = '.before-restore-';
const BEFORE_SCHEMA = 'authserver_before_';
const STAGED_SCHEMA = 'authserver_restoring_';

/** Where the new database will be put together, and what the present one will be called afterwards. */
export async function choosePlace(
  files: Files,
  storage: StorageChoice,
  { id, keeps }: { readonly id: string; readonly keeps: boolean },
): Promise<Place> {
  if (storage.driver === 'sqlite') {
    const database = databaseFile(storage.sqlite.path);
    const kept = keeps ? await freeFileName(files, `${database}${BEFORE_FILE}`) : null;
    return { engine: 'sqlite', database, staged: `${database}.restoring`, kept };
  }
  const { freeSchemaName } = await import('../../store/postgres/swap-schema.ts');
  const kept = keeps ? await freeSchemaName(storage.postgres, BEFORE_SCHEMA) : null;
  const staged = STAGED_SCHEMA + id.slice(-10);
  return { engine: 'postgres', database: postgresName(storage.postgres.dsn), staged, kept };
}

/** Makes the empty place. Failures: `configuration`, `unavailable`. */
export async function makeStaging(
  files: Files,
  storage: StorageChoice,
  place: Place,
): Promise<StorageChoice> {
  await clearStaging(files, storage, place);
  if (place.engine === 'sqlite') await files.makeFolder(place.staged);
  else if (storage.driver === 'postgres') {
    const { makeSchema, sweepSchemas } = await import('../../store/postgres/swap-schema.ts');
    await sweepSchemas(storage.postgres, STAGED_SCHEMA);
    await makeSchema(storage.postgres, place.staged);
  }
  return stagedStorage(storage, place);
}

/** The staged database, as it is opened. */
export async function stagedStorage(storage: StorageChoice, place: Place): Promise<StorageChoice> {
  if (place.engine === 'sqlite')
    return { driver: 'sqlite', sqlite: { path: path.join(place.staged, STAGED_FILE), wal: false } };
  return keptSchema(storage, place.staged);
}

/** The database that a restore has put aside, as it is opened. */
export async function keptStorage(storage: StorageChoice, place: Place): Promise<StorageChoice | undefined> {
  if (place.kept === null) return undefined;
  if (place.engine === 'sqlite') return { driver: 'sqlite', sqlite: { path: place.kept, wal: true } };
  return keptSchema(storage, place.kept);
}

/** Takes away what is staged, and nothing else. */
export async function clearStaging(files: Files, storage: StorageChoice, place: Place): Promise<void> {
  if (place.engine === 'sqlite') return files.remove(place.staged);
  if (storage.driver !== 'postgres') return;
  const { dropSchema } = await import('../../store/postgres/swap-schema.ts');
  await dropSchema(storage.postgres, place.staged);
}

/** Whether the database that a restore has put aside is still there, and how large it is. */
export async function keptSize(
  files: Files,
  storage: StorageChoice,
  place: Place,
): Promise<number | undefined> {
  if (place.kept === null) return undefined;
  if (place.engine === 'sqlite') {
    if (!(await files.exists(place.kept))) return undefined;
    return sizeOfDatabase(files, place.kept);
  }
  if (storage.driver !== 'postgres') return undefined;
  const { inSchema, presentTables } = await import('../../store/postgres/swap-schema.ts');
  const { names, bytes } = await presentTables(inSchema(storage.postgres, place.kept));
  return names.length > 0 ? bytes : undefined;
}

/**
 * Takes away databases that restores have put aside: files by their paths, schemas by their names.
 * Failures: `refused` for a schema where the settings name no PostgreSQL database, and nothing is taken away then; `unavailable`.
 */
export async function dropKept(files: Files, storage: StorageChoice, kept: readonly string[]): Promise<void> {
  // The settings may have gone over to the other engine since.
  const schemas = kept.filter((place) => !path.isAbsolute(place));
  if (schemas.length > 0) await dropSchemas(storage, schemas);
  for (const file of kept.filter((place) => path.isAbsolute(place)))
    for (const suffix of [...SIDECARS, '']) await files.remove(file + suffix);
}

async function dropSchemas(storage: StorageChoice, schemas: readonly string[]): Promise<void> {
  if (storage.driver !== 'postgres') {
    throw new Failure(
      'refused',
      `A restore has put the schema ${schemas.join(', ')} aside, and the settings name no PostgreSQL database.`,
      { hint: 'Run this with the settings of that database: the files that were put aside go with it then.' },
    );
  }
  const { dropSchema } = await import('../../store/postgres/swap-schema.ts');
  for (const schema of schemas) await dropSchema(storage.postgres, schema);
}

/** The file itself, where the settings name a link to it: SQLite keeps its log there, and the disk is that one. */
export function databaseFile(named: string): string {
  const place = path.resolve(named);
  try {
    return realpathSync(place);
  } catch {
    // Between two steps of a swap it may be gone, and the link lead nowhere.
    const isLink = lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    return isLink ? path.resolve(path.dirname(place), readlinkSync(place)) : place;
  }
}

/** Bytes of a database file and what lies beside it. */
export async function sizeOfDatabase(files: Files, database: string): Promise<number> {
  const sizes = await Promise.all(['', ...SIDECARS].map((suffix) => files.size(database + suffix)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** `db.example.com/auth`, without user and password; with the port where that is not the usual one. */
export function postgresName(dsn: string): string {
  const { hostname, port: written, pathname, searchParams } = new URL(dsn);
  const port = written || (searchParams.get('port') ?? '');
  const shown = port === '' || port === USUAL_PORT ? '' : `:${port}`;
  return `${hostname || (searchParams.get('host') ?? '')}${shown}${pathname}`;
}

async function keptSchema(storage: StorageChoice, schema: string): Promise<StorageChoice> {
  if (storage.driver !== 'postgres') throw new TypeError('a schema is in a PostgreSQL database');
  const { inSchema } = await import('../../store/postgres/swap-schema.ts');
  return { driver: 'postgres', postgres: inSchema(storage.postgres, schema) };
}

async function freeFileName(files: Files, prefix: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = `${prefix}${n}`;
    const taken = await Promise.all(['', ...SIDECARS].map((suffix) => files.exists(name + suffix)));
    if (!taken.includes(true)) return name;
  }
}
