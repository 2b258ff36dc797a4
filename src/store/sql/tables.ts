/** The tables that a database has after given steps of the schema: read off the steps, so that none can be forgotten. */
import { type Change, changesOf } from '../migrations/change.ts';
import { BOOKKEEPING } from '../migrations/connection.ts';
import type { Migration } from '../migrations/migration.ts';

export interface ColumnShape {
  readonly name: string;
  readonly type: 'text' | 'bigint';
}

export interface TableShape {
  readonly name: string;
  /** In the order in which the database has them. */
  readonly columns: readonly ColumnShape[];
  /** The columns of the primary key. */
  readonly key: readonly string[];
}

/** Tables that hold rows before anybody has used the database. */
export const FILLED_BY_MIGRATIONS: readonly string[] = ['schema_migrations', 'deployment', 'settings'];

const HEAD = /^create table (?:if not exists )?(\w+) \((.*)\)$/s;
const ADDED = /^alter table \w+ add column (.*)$/s;
const DROPPED_COLUMN = /^alter table (\w+) drop column (\w+)$/;
const COLUMN = /^(\w+) (text|bigint)\b(.*)$/s;
const KEY = /^primary key \((.*)\)$/s;
const CONSTRAINT = /^(?:unique|check|foreign key|constraint)\b/;

/** Every table after these steps, in the order in which they were made. */
export function tablesAfter(steps: readonly Migration[]): readonly TableShape[] {
  const tables = new Map<string, TableShape>();
  const keep = (table: TableShape) => tables.set(table.name, table);
  keep(madeBy(BOOKKEEPING));
  for (const change of steps.flatMap(changesOf)) apply(change, tables, keep);
  return [...tables.values()];
}

function apply(change: Change, tables: Map<string, TableShape>, keep: (table: TableShape) => unknown): void {
  const table = tables.get(change.table);
  if (change.kind === 'create table') keep(madeBy(change.text));
  if (change.kind === 'add column' && table) {
    const added = columnOf(ADDED.exec(change.text)?.[1] ?? '');
    keep({ ...table, columns: [...table.columns, added] });
  }
  if (change.kind === 'drop' && table) {
    const column = DROPPED_COLUMN.exec(change.text)?.[2];
    if (column === undefined) tables.delete(table.name);
    else keep({ ...table, columns: table.columns.filter(({ name }) => name !== column) });
  }
}

function madeBy(text: string): TableShape {
  const [, name = '', body = ''] = HEAD.exec(text) ?? [];
  const items = itemsOf(body).filter((item) => !CONSTRAINT.test(item));
  const declared = items.filter((item) => !KEY.test(item));
  const single = declared.filter((item) => /\bprimary key\b/.test(item)).map((item) => columnOf(item).name);
  const several = items
    .flatMap((item) => KEY.exec(item)?.[1]?.split(',') ?? [])
    .map((column) => column.trim());
  const key = [...single, ...several];
  if (key.length === 0) throw new TypeError(`the table ${name} has no primary key: ${text.slice(0, 80)}`);
  return { name, columns: declared.map(columnOf), key };
}

function columnOf(declaration: string): ColumnShape {
  const [, name, type] = COLUMN.exec(declaration) ?? [];
  if (name === undefined) throw new TypeError(`a column is neither text nor bigint: ${declaration}`);
  return { name, type: type as ColumnShape['type'] };
}

/** What stands between the commas, but for those within parentheses. */
function itemsOf(body: string): string[] {
  const items = [''];
  let depth = 0;
  for (const letter of body) {
    if (letter === '(') depth++;
    if (letter === ')') depth--;
    if (letter === ',' && depth === 0) items.push('');
    else items[items.length - 1] += letter;
  }
  return items.map((item) => item.trim());
}
