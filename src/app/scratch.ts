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
import type { StorageChoice } from './open-store.ts';
import { giveToOwner, lockFile } from './state-dir.ts';

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
/** Names the schema that goes with the folder. */
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
        // Where the schema cannot be dropped now, the folder stays, and whoever comes next knows of it.
        await schema.drop().finally(unlock);
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
  const folders = readdirSync(parent).filter((name) => name.startsWith(PREFIX));
  for (const name of folders) await removeAbandoned(storage, path.join(parent, name));
}

/** What cannot be removed now is left to the next one: it is in nobody's way. */
async function removeAbandoned(storage: StorageChoice, folder: string): Promise<void> {
  try {
    const lock = lockFile(path.join(folder, LOCK));
    if (!lock) return;
    try {
      const schema = readSchema(folder);
      if (schema !== undefined && storage.driver === 'sqlite') return keepOnlyNote(folder);
      if (schema !== undefined && storage.driver === 'postgres') {
        const { dropScratchSchema } = await import('../store/postgres/scratch-schema.ts');
        await dropScratchSchema(storage.postgres, schema);
      }
    } finally {
      lock.close();
    }
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // Another process may have removed it meanwhile.
  }
}

/** Whoever comes next with the PostgreSQL database has to know of the schema; of the rest nobody. */
function keepOnlyNote(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name !== LOCK && name !== SCHEMA) rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}

function readSchema(folder: string): string | undefined {
  try {
    return readFileSync(path.join(folder, SCHEMA), 'utf8');
  } catch {
    return undefined;
  }
}
