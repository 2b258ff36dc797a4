// Owns test/fixtures/schema/<version>: a database of each schema version as SQL text, with rows in every table, and the
// statements that this version's program runs. Run it once, before the version is released; it is never run for an older one.

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BOOKKEEPING, OWN_TABLES } from '../src/store/migrations/connection.ts';
import type { Migration } from '../src/store/migrations/migration.ts';
import { checksum, timeline } from '../src/store/migrations/timeline.ts';

const ROOT = path.join(import.meta.dirname, '..');
const ROWS = 3;
const MOMENT = 1_900_000_000_000;

type Value = string | number;

/** The text of a database that has had these steps: what they say, the record of them, and rows. Both engines take it. */
export function fixtureText(steps: readonly Migration[]): string {
  using db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: true });
  const texts = [BOOKKEEPING, ...steps.flatMap(({ statements }) => statements.map(textOf))];
  for (const text of texts) db.exec(text);
  const records = steps.map((step) =>
    insertText('schema_migrations', {
      version: step.version,
      name: step.name,
      checksum: checksum(step),
      applied_at: MOMENT,
    }),
  );
  const deployment = insertText('deployment', { id: 'dep_fixture', created_at: MOMENT, restore_epoch: 0 });
  const head = `-- A database at schema version ${steps.at(-1)?.version}. Written by tools/schema-fixture.ts; never edited.`;
  const all = [...texts, ...records, deployment, ...rowsOfEveryTable(db)];
  return `${head}\n${all.map((text) => `${text};\n`).join('')}`;
}

function textOf(statement: Migration['statements'][number]): string {
  if (typeof statement === 'string') return statement;
  return `update ${statement.fill} set ${statement.set} where ${statement.where}`;
}

/** Rows go in as they are made, so that what later ones point at is there. */
function rowsOfEveryTable(db: DatabaseSync): readonly string[] {
  const tables = db
    .prepare("select name, sql from sqlite_schema where type = 'table' order by rowid")
    .all()
    .filter(({ name }) => ![...OWN_TABLES, 'deployment'].includes(String(name)));
  return tables.flatMap(({ name, sql }) =>
    Array.from({ length: ROWS }, (_, index) => {
      const text = insertText(String(name), rowOf(db, String(name), String(sql), index));
      db.exec(text);
      return text;
    }),
  );
}

/** A value for each column, by its type and what constrains it; every third optional one is left out. */
function rowOf(db: DatabaseSync, table: string, sql: string, index: number): Record<string, Value> {
  const parents = new Map(
    db
      .prepare('select "from", "table" from pragma_foreign_key_list(?)')
      .all(table)
      .map((key) => [String(key['from']), String(key['table'])]),
  );
  const row: Record<string, Value> = {};
  for (const column of db.prepare('select name, type, "notnull", pk from pragma_table_info(?)').all(table)) {
    const name = String(column['name']);
    const optional = column['notnull'] === 0 && column['pk'] === 0;
    if (optional && index === ROWS - 1) continue;
    row[name] = sampleOf({
      table,
      name,
      type: String(column['type']),
      parent: parents.get(name),
      sql,
      index,
    });
  }
  return row;
}

function sampleOf(column: {
  table: string;
  name: string;
  type: string;
  parent: string | undefined;
  sql: string;
  index: number;
}): Value {
  const { table, name, type, parent, sql, index } = column;
  if (parent !== undefined)
    return parent === 'signing_keys' ? `${parent}-kid-${index}` : `${parent}-id-${index}`;
  const [, words] = new RegExp(`\\b${name} in \\(([^)]*)\\)`).exec(sql) ?? [];
  const allowed = words?.split(',').map((word) => word.trim().replaceAll("'", ''));
  if (allowed) return allowed[index % allowed.length] as string;
  if (type === 'bigint') return name.endsWith('_at') || name.endsWith('_until') ? MOMENT + index : index + 1;
  return name.endsWith('_json') ? `{"from":"${table}","ö":"'${index}'"}` : `${table}-${name}-${index}`;
}

function insertText(table: string, row: Record<string, Value>): string {
  const values = Object.values(row).map((value) =>
    typeof value === 'number' ? value : `'${value.replaceAll("'", "''")}'`,
  );
  return `insert into ${table} (${Object.keys(row).join(', ')}) values (${values.join(', ')})`;
}

if (import.meta.main) {
  const newest = timeline.at(-1)?.version;
  const folder = path.join(ROOT, 'test', 'fixtures', 'schema', String(newest));
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'database.sql'), fixtureText(timeline));
  const statements = 'compiled-statements.json';
  await copyFile(path.join(ROOT, 'src', 'store', 'sql', statements), path.join(folder, statements));
}
