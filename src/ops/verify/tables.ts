/** Whether the tables that were put in are those of the backup: names, columns, indexes, rows. */
import type { Manifest } from '../../archive/manifest.ts';
import { type Change, changesOf } from '../../store/migrations/change.ts';
import type { SchemaConnection } from '../../store/migrations/connection.ts';
import type { Migration } from '../../store/migrations/migration.ts';
import type { TableTotal } from '../../store/snapshot.ts';
import { tablesAfter } from '../../store/sql/tables.ts';
import type { Findings } from './proof.ts';

/** Holds what was read back, row by row, to what the manifest says. */
export function compareTables(
  expected: Pick<Manifest, 'tables'>,
  totals: readonly TableTotal[],
  findings: Findings,
): void {
  const found = new Map(totals.map((total) => [total.table, total]));
  for (const { name, rows, digest } of expected.tables) {
    const total = found.get(name);
    if (total === undefined) findings.add(`The table ${name} is missing.`);
    else if (total.rows !== rows)
      findings.add(`The table ${name} has ${total.rows} rows instead of ${rows}.`);
    else if (total.digest !== digest)
      findings.add(`The table ${name} has other content than the manifest says.`);
    found.delete(name);
  }
  for (const name of found.keys()) findings.add(`The manifest does not know the table ${name}.`);
}

/** Holds the tables, columns and indexes that there are to those that the steps make. */
export async function compareSchema(
  db: Pick<SchemaConnection, 'names'>,
  steps: readonly Migration[],
  findings: Findings,
): Promise<void> {
  const names = await db.names();
  const missing = namesAfter(steps).filter((name) => !names.has(name));
  for (const name of missing) findings.add(`The ${name} is missing from the schema.`);
}

/** `table users`, `column users.email`, `index users_email`: what a database has after these steps. */
function namesAfter(steps: readonly Migration[]): readonly string[] {
  const tables = tablesAfter(steps);
  const columns = new Set(
    tables.flatMap(({ name, columns }) => columns.map((each) => `${name}.${each.name}`)),
  );
  const indexes = steps.flatMap(changesOf).filter((change) => isKept(change, columns));
  return [
    ...tables.map(({ name }) => `table ${name}`),
    ...[...columns].map((column) => `column ${column}`),
    ...indexes.map((change) => `index ${change.kind === 'create index' ? change.index : ''}`),
  ];
}

/** Engines drop an index with its table, and with any of its columns. */
function isKept(change: Change, columns: ReadonlySet<string>): boolean {
  if (change.kind !== 'create index') return false;
  const [, list = ''] = /\(([^()]*)\)/.exec(change.text) ?? [];
  const named = list.split(',').map((column) => column.trim().split(' ')[0]);
  return named.every((column) => columns.has(`${change.table}.${column}`));
}
