/** A place of the configured engine in which a database can be put together, out of everybody's way. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { PostgresOptions } from '../store/postgres/connect.ts';
import type { StorageChoice } from './open-store.ts';
import { giveToOwner, lockFile, writeState } from './state-dir.ts';

export interface Scratch extends AsyncDisposable {
  /** Empty; it goes when the scratch is disposed of. */
  readonly storage: StorageChoice;
  /** A folder for whatever else is needed, mode 0700. */
  readonly folder: string;
}

/** Where scratch places of this installation are put together. */
export function scratchParent({ state_dir }: { readonly state_dir: string }): string {
  return path.join(state_dir, 'scratch');
}

const PREFIX = 'scratch-';
/** Held as long as the process lives that uses the folder. */
const LOCK = 'lock';
/** Names the schemas that go with the folder, one a line. */
const SCHEMA = 'schema';

/**
 * On SQLite a file in a folder within `parent`; on PostgreSQL a schema of its own in the same database. What killed processes
 * have left in `parent` is removed.
 * Failures: `unavailable`, `configuration` when the role may not make schemas.
 */
export async function openScratch(storage: StorageChoice, parent: string): Promise<Scratch> {
  if (mkdirSync(parent, { recursive: true, mode: 0o700 }) !== undefined) giveToOwner(parent);
  await sweep(storage, parent);
  const { folder, unlock } = makeFolder(parent);
  const removeFolder = () => {
    unlock();
    rmSync(folder, { recursive: true, force: true });
  };
  if (storage.driver === 'sqlite') {
    // Nothing else of the live database's options: what is done here is no part of its recovery log.
    const sqlite = { path: path.join(folder, 'authserver.db'), wal: storage.sqlite.wal };
    return {
      storage: { driver: 'sqlite', sqlite },
      folder,
      [Symbol.asyncDispose]: async () => removeFolder(),
    };
  }
  try {
    const { makeScratchSchema, scratchSchemaName } = await import('../store/postgres/scratch-schema.ts');
    const name = scratchSchemaName();
    writeFileSync(path.join(folder, SCHEMA), name, { mode: 0o600 });
    const schema = await makeScratchSchema(storage.postgres, name);
    return {
      storage: { driver: 'postgres', postgres: schema.options },
      folder,
      async [Symbol.asyncDispose]() {
        // Where a schema cannot be dropped now, the folder stays, and whoever comes next knows of it.
        await dropSchemas(storage.postgres, schemasWithin(folder)).finally(unlock);
        removeFolder();
      },
    };
  } catch (error) {
    removeFolder();
    throw error;
  }
}

/** It gets its name once it is locked, so that nobody takes it for one that was left behind. */
function makeFolder(parent: string): { readonly folder: string; unlock(): void } {
  const unnamed = mkdtempSync(path.join(parent, 'new-'));
  giveToOwner(unnamed);
  const lock = lockFile(path.join(unnamed, LOCK));
  const folder = path.join(parent, PREFIX + path.basename(unnamed).slice('new-'.length));
  renameSync(unnamed, folder);
  return {
    folder,
    unlock() {
      if (lock?.isOpen) lock.close();
    },
  };
}

async function sweep(storage: StorageChoice, parent: string): Promise<void> {
  const folders = readdirSync(parent).filter(isScratchFolder);
  for (const name of folders) await removeAbandoned(storage, path.join(parent, name));
}

/** What cannot be removed now is left to the next one: it is in nobody's way. */
async function removeAbandoned(storage: StorageChoice, folder: string): Promise<void> {
  try {
    const lock = lockFile(path.join(folder, LOCK));
    if (!lock) return;
    try {
      const schemas = schemasWithin(folder);
      if (storage.driver === 'postgres') await dropSchemas(storage.postgres, schemas);
      else if (schemas.length > 0) return keepOnlyNote(folder, schemas);
    } finally {
      lock.close();
    }
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // Another process may have removed it meanwhile.
  }
}

/** Whoever comes next with the PostgreSQL database has to know of the schemas; of the rest nobody. */
function keepOnlyNote(folder: string, schemas: readonly string[]): void {
  writeState(folder, SCHEMA, schemas.join('\n'));
  for (const name of readdirSync(folder)) {
    if (name !== LOCK && name !== SCHEMA) rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}

async function dropSchemas(postgres: PostgresOptions, schemas: readonly string[]): Promise<void> {
  const { dropScratchSchema, isScratchSchema } = await import('../store/postgres/scratch-schema.ts');
  // Before a name was written down whole, nothing had been made under it.
  for (const name of schemas.filter(isScratchSchema)) await dropScratchSchema(postgres, name);
}

/** Of the folder, and of those within: the copy of a drill, whose schema it is, has scratch places of its own. */
function schemasWithin(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((file) => path.basename(file) === SCHEMA && isScratchFolder(path.dirname(file)))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((name) => name !== '');
}

function isScratchFolder(folder: string): boolean {
  return path.basename(folder).startsWith(PREFIX);
}
