import { type Change, changesOf, runsOnline, tablesMadeBy } from '../store/migrations/change.ts';
import type { SchemaConnection } from '../store/migrations/connection.ts';
import type { Migration } from '../store/migrations/migration.ts';

/** A step as the plan shows it. */
export interface PlannedStep {
  readonly version: number;
  readonly name: string;
  /** The release that brought it. */
  readonly release: string;
  readonly tables: readonly TouchedTable[];
  readonly blocks_writers: Blocking;
  /** From the rows and a rate for each kind of work; the machine may be slower. */
  readonly estimated_ms: number;
}

export interface TouchedTable {
  readonly table: string;
  /** `references`: a new table points at it, for which its writers are locked out for a moment. */
  readonly change: 'new' | 'changed' | 'references';
  readonly rows: number;
  /** False for an estimate from the engine's statistics. */
  readonly exact: boolean;
}

/** `briefly`: a lock for milliseconds; `throughout`: no server runs meanwhile. */
export type Blocking = 'no' | 'briefly' | 'throughout';

/** ms a statement that only changes the catalog. */
const CATALOG_CHANGE = 2;
/** Rows a ms, rounded down from what a small machine does. */
const RATES = { 'create index': 200, fill: 20, 'write rows': 50 } as const;

/** What the steps touch, how much of it there is, and how long it may take. */
export async function estimateSteps(
  db: SchemaConnection,
  pending: readonly Migration[],
): Promise<readonly PlannedStep[]> {
  const there = await db.tables();
  const counts = new Map<string, { rows: number; exact: boolean }>();
  const steps: PlannedStep[] = [];
  for (const migration of pending) {
    const changes = changesOf(migration);
    for (const table of changes.flatMap(tablesOf)) {
      if (!counts.has(table)) {
        counts.set(table, there.has(table) ? await db.rowsIn(table) : { rows: 0, exact: true });
      }
    }
    const rowsIn = (table: string) => counts.get(table) ?? { rows: 0, exact: true };
    const { version, name, release } = migration;
    steps.push({
      version,
      name,
      release,
      tables: touchedTables(changes).map((touched) => ({ ...touched, ...rowsIn(touched.table) })),
      blocks_writers: blocking(db.engine, changes),
      estimated_ms: Math.ceil(
        changes.reduce((sum, change) => sum + time(change, rowsIn(change.table).rows), 0),
      ),
    });
  }
  return steps;
}

function tablesOf(change: Change): readonly string[] {
  return change.kind === 'create table' ? [change.table, ...change.refersTo] : [change.table];
}

function touchedTables(changes: readonly Change[]): readonly Pick<TouchedTable, 'table' | 'change'>[] {
  const made = tablesMadeBy(changes);
  const touched = new Map<string, TouchedTable['change']>(made.map((table) => [table, 'new']));
  for (const { table } of changes) if (!touched.has(table)) touched.set(table, 'changed');
  for (const table of changes.flatMap(tablesOf)) if (!touched.has(table)) touched.set(table, 'references');
  return Array.from(touched, ([table, change]) => ({ table, change }));
}

/** On PostgreSQL a change of the catalog locks the tables that exist for a moment; what takes long runs beside writers. */
function blocking(engine: SchemaConnection['engine'], changes: readonly Change[]): Blocking {
  if (engine === 'sqlite') return 'throughout';
  if (runsOnline(changes)) return 'no';
  return touchedTables(changes).every(({ change }) => change === 'new') ? 'no' : 'briefly';
}

function time({ kind }: Change, rows: number): number {
  if (kind === 'create index' || kind === 'fill' || kind === 'write rows')
    return CATALOG_CHANGE + rows / RATES[kind];
  return CATALOG_CHANGE;
}
