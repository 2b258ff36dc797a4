import type { DatabaseSync } from 'node:sqlite';
import { OWN_TABLES } from '../migrations/connection.ts';

type Row = Record<string, unknown>;

/** The schema in a normal form (SchemaConnection.catalog). */
export function sqliteCatalog(db: DatabaseSync): readonly string[] {
  const ask = (text: string, ...values: string[]): Row[] => db.prepare(text).all(...values);
  const tables = ask(`select name, sql from sqlite_schema where type = 'table' and name not like 'sqlite_%'`);
  const lines = tables
    .filter(({ name }) => !OWN_TABLES.includes(String(name)))
    .flatMap(({ name, sql }) => [
      `table ${name}`,
      ...columns(ask, String(name)),
      ...foreignKeys(ask, String(name)),
      ...checks(String(sql)).map((check) => `check ${name} ${check}`),
      ...indexes(ask, String(name)),
    ]);
  return lines.sort();
}

type Ask = (text: string, ...values: string[]) => Row[];

function columns(ask: Ask, table: string): string[] {
  return ask('select name, type, "notnull", dflt_value, pk from pragma_table_info(?)', table).map(
    ({ name, type, notnull, dflt_value, pk }) =>
      `column ${table}.${name} ${String(type).toLowerCase()} notnull=${notnull} default=${dflt_value} key=${pk}`,
  );
}

function foreignKeys(ask: Ask, table: string): string[] {
  return ask('select "from", "table", "to", on_update, on_delete from pragma_foreign_key_list(?)', table).map(
    (key) =>
      `foreign ${table}.${key['from']} ${key['table']}.${key['to']} ${key['on_update']} ${key['on_delete']}`,
  );
}

function indexes(ask: Ask, table: string): string[] {
  return ask('select name, "unique", origin, partial from pragma_index_list(?)', table).map(
    ({ name, unique, origin, partial }) => {
      const fields = ask('select name, "desc" from pragma_index_xinfo(?) where "key" = 1', String(name));
      const list = fields.map((field) => `${field['name']}${field['desc'] === 1 ? ' desc' : ''}`).join(',');
      const [made] = ask('select sql from sqlite_schema where name = ?', String(name));
      const where =
        partial === 1 ? ` ${squeezed(String(made?.['sql'])).replace(/^.* where /, 'where ')}` : '';
      // SQLite numbers the indexes behind unique columns by their place, which says nothing.
      const called = origin === 'c' ? String(name) : `(${origin})`;
      return `index ${called} ${table} unique=${unique} ${list}${where}`;
    },
  );
}

/** The bodies of `check (...)`, which SQLite keeps only in the text of the table. */
function checks(sql: string): string[] {
  const text = squeezed(sql);
  return Array.from(text.matchAll(/\bcheck ?\(/g), (match) => {
    const begin = match.index + match[0].length;
    let depth = 1;
    let end = begin;
    while (depth > 0 && end < text.length) {
      if (text[end] === '(') depth++;
      if (text[end] === ')') depth--;
      end++;
    }
    return `(${text.slice(begin, end - 1)})`;
  });
}

function squeezed(sql: string): string {
  return sql.replace(/\s+/g, ' ').trim();
}
