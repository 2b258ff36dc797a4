/** A place of the configured engine in which a database can be put together, out of everybody's way. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { StorageChoice } from './open-store.ts';

export interface Scratch extends AsyncDisposable {
  /** Empty; it goes when the scratch is disposed of. */
  readonly storage: StorageChoice;
  /** A folder for whatever else is needed, mode 0700. */
  readonly folder: string;
}

/**
 * On SQLite a file in a folder within `parent`; on PostgreSQL a schema of its own in the same database.
 * Failures: `unavailable`, `configuration` when the role may not make schemas.
 */
export async function openScratch(storage: StorageChoice, parent: string): Promise<Scratch> {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(path.join(parent, 'scratch-'));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  if (storage.driver === 'sqlite') {
    const sqlite = { ...storage.sqlite, path: path.join(folder, 'authserver.db') };
    return {
      storage: { driver: 'sqlite', sqlite },
      folder,
      [Symbol.asyncDispose]: async () => removeFolder(),
    };
  }
  try {
    const { makeScratchSchema } = await import('../store/postgres/scratch-schema.ts');
    const schema = await makeScratchSchema(storage.postgres);
    return {
      storage: { driver: 'postgres', postgres: schema.options },
      folder,
      async [Symbol.asyncDispose]() {
        removeFolder();
        await schema.drop();
      },
    };
  } catch (error) {
    removeFolder();
    throw error;
  }
}
