import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Failure } from '../../kernel/errors.ts';
import { type RowWriter, unfit } from '../snapshot-load.ts';
import type { ColumnShape, TableShape } from '../sql/tables.ts';
import { LOCK_PATIENCE, type SqliteOptions } from './connect.ts';
import { fromSqlite, isBusy, translated } from './errors.ts';

/** KiB */
const CACHE = 64 * 1024;
/** From here on a double no longer tells an integer from its neighbours. */
const INEXACT = 2 ** 53;

type Value = null | string | number | bigint;
type Row = Readonly<Record<string, Value>>;

export class SqliteRowWriter implements RowWriter {
  readonly #options: SqliteOptions;
  readonly #inserts = new Map<string, StatementSync>();
  #db: DatabaseSync | undefined;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  /**
   * With a rollback journal: it holds what was there before, which is next to nothing, and the rows are written once,
   * where a write-ahead log would hold all of them first.
   */
  async begin(): Promise<void> {
    const { path } = this.#options;
    this.#db = translated(
      () => new DatabaseSync(path, { timeout: LOCK_PATIENCE, enableForeignKeyConstraints: false }),
    );
    await this.#setJournal('delete');
    await this.run('pragma synchronous = full');
    await this.run(`pragma cache_size = -${CACHE}`);
    await this.run('begin exclusive');
  }

  async all<Found>(text: string): Promise<Found[]> {
    return translated(() => this.#open.prepare(text).all() as Found[]);
  }

  async run(text: string): Promise<void> {
    translated(() => this.#open.exec(text));
  }

  async insert(table: TableShape, array: string): Promise<number> {
    const rows = rowsOf(array);
    const insert = this.#insertInto(table);
    try {
      for (const row of rows) insert.run(...valuesOf(table, row));
    } catch (error) {
      const failure = fromSqlite(error);
      throw failure instanceof Failure && failure.code === 'conflict'
        ? unfit(`a row does not fit into ${table.name}`, error)
        : failure;
    }
    return rows.length;
  }

  async commit(): Promise<void> {
    const [loose] = await this.all<{ table: string; parent: string }>('pragma foreign_key_check');
    if (loose) throw unfit(`a row of ${loose.table} points at one of ${loose.parent} that is not there`);
    await this.run('commit');
    if (this.#options.wal) await this.#setJournal('wal');
  }

  async close(): Promise<void> {
    if (this.#db?.isOpen) this.#db.close();
  }

  async #setJournal(mode: 'delete' | 'wal'): Promise<void> {
    try {
      this.#open.exec(`pragma journal_mode = ${mode}`);
    } catch (error) {
      if (!isBusy(error)) throw fromSqlite(error);
      throw new Failure('refused', 'Somebody else has the database open.', {
        detail: this.#options.path,
        cause: error,
      });
    }
  }

  #insertInto({ name, columns }: TableShape): StatementSync {
    const known = this.#inserts.get(name);
    if (known) return known;
    const names = columns.map((column) => column.name).join(', ');
    const places = columns.map(() => '?').join(', ');
    const insert = this.#open.prepare(`insert into ${name} (${names}) values (${places})`);
    this.#inserts.set(name, insert);
    return insert;
  }

  get #open(): DatabaseSync {
    if (!this.#db) throw new TypeError('the writer is not connected');
    return this.#db;
  }
}

/** Large integers come as they are written. */
function rowsOf(array: string): readonly Row[] {
  const rows = JSON.parse(array) as readonly Row[];
  const isLarge = (value: Value) => typeof value === 'number' && Math.abs(value) >= INEXACT;
  return rows.some((row) => Object.values(row).some(isLarge)) ? JSON.parse(array, asWritten) : rows;
}

function valuesOf({ name, columns }: TableShape, row: Row): Value[] {
  return columns.map((column) => {
    const value = row[column.name];
    if (value !== undefined && isOf(column.type, value)) return value;
    throw unfit(`a row of ${name} has no ${column.type} for ${column.name}`);
  });
}

/** SQLite itself would take any value in any column. */
function isOf(type: ColumnShape['type'], value: Value): boolean {
  if (value === null) return true;
  return type === 'text' ? typeof value === 'string' : typeof value === 'bigint' || Number.isInteger(value);
}

function asWritten(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? BigInt(context.source) : value;
}
