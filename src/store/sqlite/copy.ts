import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface ProvenCopy {
  /** The name that was asked for, or that with a number where another copy has it. */
  readonly file: string;
  readonly tables: number;
  readonly rows: number;
}

/**
 * Copies the database to `target` in one read transaction, and compares the copy with it before it gets that name. What an
 * earlier upgrade saved there is kept, and this one gets the next name. Nobody may write meanwhile.
 * @throws when there is no room, or the copy is not what it was made from
 */
export function copyDatabase(source: string, target: string): ProvenCopy {
  const unfinished = `${target}.tmp`;
  removeUnfinished(unfinished);
  try {
    // Made first, so that at no moment anybody else may read it.
    writeFileSync(unfinished, '', { mode: 0o600 });
    using db = new DatabaseSync(source);
    db.prepare('vacuum into ?').run(unfinished);
    const counted = compare(db, unfinished);
    syncToDisk(unfinished);
    const file = freeName(target, unfinished);
    renameSync(unfinished, file);
    syncToDisk(path.dirname(file));
    return { file, ...counted };
  } catch (error) {
    removeUnfinished(unfinished);
    throw error;
  }
}

/** A file that says it is whole is not enough: it could be a whole empty database. */
function compare(source: DatabaseSync, file: string): Pick<ProvenCopy, 'tables' | 'rows'> {
  using copy = new DatabaseSync(file, { readOnly: true });
  const [integrity] = copy.prepare('pragma integrity_check').all();
  if (integrity?.['integrity_check'] !== 'ok')
    throw new Error(`the copy is damaged: ${JSON.stringify(integrity)}`);
  if (schemaText(copy) !== schemaText(source))
    throw new Error('the copy has another schema than the database');
  const counts = rowCounts(source);
  const copied = rowCounts(copy);
  for (const [table, rows] of counts) {
    if (copied.get(table) !== rows) {
      throw new Error(`the copy has ${copied.get(table) ?? 'no'} rows in ${table}, the database ${rows}`);
    }
  }
  return { tables: counts.size, rows: Array.from(counts.values()).reduce((sum, rows) => sum + rows, 0) };
}

function schemaText(db: DatabaseSync): string {
  return JSON.stringify(db.prepare('select type, name, sql from sqlite_schema order by type, name').all());
}

function rowCounts(db: DatabaseSync): ReadonlyMap<string, number> {
  const tables = db
    .prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name")
    .all()
    .map(({ name }) => String(name));
  return new Map(
    tables.map((table) => [
      table,
      Number(db.prepare(`select count(*) as rows from ${table}`).get()?.['rows']),
    ]),
  );
}

/** `target`, `target.2` and so on: the first that is free, or has the same content, as after a migration that failed. */
function freeName(target: string, unfinished: string): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? target : `${target}.${n}`;
    if (!existsSync(name) || sameContent(name, unfinished)) return name;
  }
}

function sameContent(one: string, other: string): boolean {
  return statSync(one).size === statSync(other).size && digestOf(one) === digestOf(other);
}

function digestOf(file: string): string {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(2 ** 20);
  const descriptor = openSync(file, 'r');
  try {
    for (let read = -1; read !== 0; ) {
      read = readSync(descriptor, chunk);
      hash.update(chunk.subarray(0, read));
    }
  } finally {
    closeSync(descriptor);
  }
  return hash.digest('hex');
}

function syncToDisk(file: string): void {
  const descriptor = openSync(file, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function removeUnfinished(file: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
}
