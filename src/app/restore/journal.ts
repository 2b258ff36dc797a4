/**
 * The journal of a restore, `restore.json` in the state directory: what is being put in the place of what. While it says
 * `staging`, nothing has happened to the present state, and whoever finds it clears the staging away. From the moment it says
 * `swapping`, the restore has happened, and whoever finds it brings it to its end. It is gone when all is done.
 */
import path from 'node:path';
import { z } from 'zod';
import { Failure } from '../../kernel/errors.ts';
import { stateFiles } from '../state-dir.ts';
import type { Files } from './files.ts';

/** A database that was swapped in, and what became of the one before; null where there was none. */
const sqlitePlace = z.strictObject({
  engine: z.literal('sqlite'),
  /** The file that the settings name. */
  database: z.string(),
  /** The folder beside it in which the new one is put together. */
  staged: z.string(),
  /** What the former file is called from then on; its log and journal follow it. */
  kept: z.string().nullable(),
});

const postgresPlace = z.strictObject({
  engine: z.literal('postgres'),
  /** Host and database, without a secret: a journal is not rolled forward into another. */
  database: z.string(),
  /** Schemas. */
  staged: z.string(),
  kept: z.string().nullable(),
});

const keyMove = z.strictObject({
  /** Under this name while nothing is decided. */
  staged: z.string(),
  target: z.string(),
  /** What the file that was there is called from then on; null where there was none. */
  kept: z.string().nullable(),
});

/** What `restore undo` has to know of the last restore: `restored.json` in the state directory. */
const lastRestore = z.strictObject({
  format: z.literal(1),
  id: z.string(),
  verb: z.enum(['restore', 'undo']),
  /** ms */
  at: z.number(),
  /** The backup, or the restore that was undone. */
  from: z.string(),
  place: z.discriminatedUnion('engine', [sqlitePlace, postgresPlace]),
  /** Key files that were exchanged. */
  keys: z.array(keyMove),
  /** What this restore and those before it have kept: databases (files or schemas) and key files. */
  copies: z.strictObject({ databases: z.array(z.string()), keys: z.array(z.string()) }),
});

const journal = z.strictObject({
  format: z.literal(1),
  id: z.string(),
  phase: z.enum(['staging', 'swapping']),
  place: z.discriminatedUnion('engine', [sqlitePlace, postgresPlace]),
  /** Folders in which files may have been staged. */
  folders: z.array(z.string()),
  keys: z.array(keyMove),
  /** To be written once the swap is done. */
  files: z.array(z.strictObject({ path: z.string(), text: z.string() })),
  deployment: z.string(),
  last: lastRestore.nullable(),
});

export type SqlitePlace = Readonly<z.output<typeof sqlitePlace>>;
export type PostgresPlace = Readonly<z.output<typeof postgresPlace>>;
export type Place = SqlitePlace | PostgresPlace;
export type KeyMove = Readonly<z.output<typeof keyMove>>;
export type LastRestore = Readonly<z.output<typeof lastRestore>>;
export type Journal = Readonly<z.output<typeof journal>>;

/** Undefined when no restore was begun. Failures: `refused` for a journal that cannot be read. */
export function readJournal(files: Files, stateDir: string): Promise<Journal | undefined> {
  return readNote(files, path.join(stateDir, stateFiles.restore), journal);
}

export async function writeJournal(files: Files, stateDir: string, content: Journal): Promise<void> {
  await files.write(path.join(stateDir, stateFiles.restore), `${JSON.stringify(content)}\n`);
}

export async function removeJournal(files: Files, stateDir: string): Promise<void> {
  await files.remove(path.join(stateDir, stateFiles.restore));
}

/** Undefined where nothing was ever restored, or its safety copy was let go of. Failures: as `readJournal`. */
export function readLast(files: Files, stateDir: string): Promise<LastRestore | undefined> {
  return readNote(files, path.join(stateDir, stateFiles.restored), lastRestore);
}

export async function writeLast(files: Files, stateDir: string, last: LastRestore): Promise<void> {
  await files.write(path.join(stateDir, stateFiles.restored), `${JSON.stringify(last)}\n`);
}

export async function forgetLast(files: Files, stateDir: string): Promise<void> {
  await files.remove(path.join(stateDir, stateFiles.restored));
}

async function readNote<Schema extends z.ZodType>(
  files: Files,
  file: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const text = await files.read(file);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Failure(
      'refused',
      `${file} cannot be read, so nothing is known of the restore that wrote it.`,
      {
        detail: cause instanceof Error ? cause.message : String(cause),
        hint: 'Was it written by a newer version? Then use that one. Otherwise look at what lies beside the database, put the right file in place, and move this one away.',
        cause,
      },
    );
  }
}
