/**
 * What one database has that another has not, row by row: both come in the order of their tables and primary keys, so that
 * they are merged as they come by, and nothing but two rows is held.
 */
import { Failure } from '../../kernel/errors.ts';
import type { SnapshotPart } from '../../store/snapshot.ts';
import { linesOf } from './lines.ts';
import { type ColumnChange, type Row, type RowValue, shownChange, shownKey } from './shown.ts';

export interface TableShape {
  readonly name: string;
  readonly columns: readonly string[];
  readonly key: readonly string[];
}

/** Rows of one moment. */
export interface Side {
  readonly tables: readonly TableShape[];
  /** Read to its end, also where nothing is compared any more: only then it is known that an archive is whole. */
  readonly parts: AsyncIterable<SnapshotPart>;
}

export interface Difference {
  readonly table: string;
  /** `added`: only the second has it; `removed`: only the first. */
  readonly change: 'added' | 'removed' | 'changed';
  readonly key: Row;
  /** Only of what has changed. */
  readonly columns: readonly ColumnChange[];
}

export interface TableDifference {
  readonly table: string;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  readonly same: number;
}

export interface DifferenceReport {
  /** In their order; those with rows on either side. */
  readonly tables: readonly TableDifference[];
  /** Tables and columns of which only one side knows: the two have different schemas. */
  readonly only_in: { readonly first: readonly string[]; readonly second: readonly string[] };
}

/** Tells each difference as it is found; the counts when both sides have come to their end. @param only tables to look at */
export async function compare(
  first: Side,
  second: Side,
  tell: (difference: Difference) => Promise<void> | void,
  only?: ReadonlySet<string>,
): Promise<DifferenceReport> {
  const a = new Cursor(first);
  const b = new Cursor(second);
  const counts: TableDifference[] = [];
  try {
    for (const table of sharedTables(first.tables, second.tables)) {
      const isWanted = only === undefined || only.has(table.name);
      await a.enter(table.name);
      await b.enter(table.name);
      if (!isWanted) continue;
      const counted = await compareTable(table, a, b, tell);
      if (counted.added + counted.removed + counted.changed + counted.same > 0) counts.push(counted);
    }
    await a.drain();
    await b.drain();
  } finally {
    await a.close();
    await b.close();
  }
  const [inFirst, inSecond] = [named(first.tables), named(second.tables)];
  return {
    tables: counts,
    only_in: {
      first: inFirst.filter((name) => !inSecond.includes(name)),
      second: inSecond.filter((name) => !inFirst.includes(name)),
    },
  };
}

/** `users`, `users.email`: what one side has in its schema. */
function named(tables: readonly TableShape[]): readonly string[] {
  return tables.flatMap(({ name, columns }) => [name, ...columns.map((column) => `${name}.${column}`)]);
}

/** With the columns that both have. */
function sharedTables(first: readonly TableShape[], second: readonly TableShape[]): readonly TableShape[] {
  const others = new Map(second.map((table) => [table.name, table]));
  const shared = first.flatMap((table) => {
    const other = others.get(table.name);
    if (!other) return [];
    const columns = table.columns.filter((column) => other.columns.includes(column));
    if (String(table.key) === String(other.key)) return [{ ...table, columns }];
    throw new Failure('refused', `The rows of ${table.name} are told apart in another way on each side.`, {
      detail: `${table.key.join(', ')}; ${other.key.join(', ')}`,
      hint: 'Compare backups whose schemas are nearer to each other.',
    });
  });
  const order = second.filter(({ name }) => shared.some((table) => table.name === name));
  if (String(order.map(({ name }) => name)) === String(shared.map(({ name }) => name))) return shared;
  throw new Failure('refused', 'The tables come in another order on each side.', {
    hint: 'Compare backups whose schemas are nearer to each other.',
  });
}

async function compareTable(
  table: TableShape,
  a: Cursor,
  b: Cursor,
  tell: (difference: Difference) => Promise<void> | void,
): Promise<TableDifference> {
  const counts = { added: 0, removed: 0, changed: 0, same: 0 };
  let [left, right] = [await a.next(), await b.next()];
  while (left !== undefined || right !== undefined) {
    // Most rows are the same, letter by letter, and need not be taken apart.
    if (left === right) {
      counts.same += 1;
      [left, right] = [await a.next(), await b.next()];
      continue;
    }
    const [former, latter] = [parsed(left), parsed(right)];
    const order = orderOf(table.key, former, latter);
    const row = order > 0 ? latter : former;
    const columns = order === 0 && former && latter ? changesOf(table.columns, former, latter) : [];
    const change = order < 0 ? 'removed' : order > 0 ? 'added' : columns.length > 0 ? 'changed' : 'same';
    counts[change] += 1;
    if (change !== 'same' && row) {
      await tell({ table: table.name, change, key: shownKey(table.name, table.key, row), columns });
    }
    if (order <= 0) left = await a.next();
    if (order >= 0) right = await b.next();
  }
  return { table: table.name, ...counts };
}

function parsed(line: string | undefined): Row | undefined {
  return line === undefined ? undefined : (JSON.parse(line) as Row);
}

/** Below zero where the first row comes first; the one that is missing comes last. */
function orderOf(key: readonly string[], former: Row | undefined, latter: Row | undefined): number {
  if (!former) return 1;
  if (!latter) return -1;
  for (const column of key) {
    const order = orderOfValues(former[column] ?? null, latter[column] ?? null);
    if (order !== 0) return order;
  }
  return 0;
}

/** As in an archive: integers by value, texts by the bytes of their UTF-8. */
function orderOfValues(a: RowValue, b: RowValue): number {
  if (a === b) return 0;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

function changesOf(columns: readonly string[], former: Row, latter: Row): readonly ColumnChange[] {
  return columns
    .filter((column) => former[column] !== latter[column])
    .map((column) => shownChange(column, former[column] ?? null, latter[column] ?? null));
}

/** The lines of one table after the other. */
class Cursor {
  readonly #known: ReadonlySet<string>;
  readonly #parts: AsyncIterator<SnapshotPart>;
  #table = '';
  #lines: readonly string[] = [];
  #at = 0;
  #isOver = true;

  constructor({ tables, parts }: Side) {
    this.#known = new Set(tables.map(({ name }) => name));
    this.#parts = parts[Symbol.asyncIterator]();
  }

  /** Goes on to the first line of a table that is still to come. */
  async enter(table: string): Promise<void> {
    while (!this.#isOver) await this.#pull();
    if (!this.#known.has(table)) throw new TypeError(`there is no table ${table} on this side`);
    this.#table = table;
    this.#isOver = false;
  }

  /** Undefined at the end of the table. */
  async next(): Promise<string | undefined> {
    while (this.#at >= this.#lines.length) {
      if (this.#isOver) return undefined;
      await this.#pull();
    }
    return this.#lines[this.#at++];
  }

  /** Whatever is left. */
  async drain(): Promise<void> {
    for (;;) if ((await this.#parts.next()).done) return;
  }

  async close(): Promise<void> {
    await this.#parts.return?.();
  }

  async #pull(): Promise<void> {
    this.#lines = [];
    this.#at = 0;
    const { done, value } = await this.#parts.next();
    if (done) throw new TypeError(`the rows of ${this.#table} have no end`);
    // Of a table that the other side does not have.
    if (value.table !== this.#table) return;
    if (value.kind === 'total') this.#isOver = true;
    else this.#lines = linesOf(value.bytes);
  }
}
