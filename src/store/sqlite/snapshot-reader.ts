import { DatabaseSync } from 'node:sqlite';
import { PAGE, type Page, type RowReader } from '../snapshot-read.ts';
import type { TableShape } from '../sql/tables.ts';
import { LOCK_PATIENCE, type SqliteOptions } from './connect.ts';
import { translated } from './errors.ts';

/** KiB. A table in the order of its key is read all over the file; with the default of 2 MiB that takes twice as long. */
const CACHE = 64 * 1024;
const FIRST_ROWS = 32;
/** Larger pages gain nothing. */
const MOST_ROWS = 512;
const LINE_FEED = 0x0a;

interface PageRow {
  readonly rows: number;
  readonly lines: Uint8Array | null;
}

export class SqliteRowReader implements RowReader {
  readonly #path: string;
  #db: DatabaseSync | undefined;

  constructor({ path }: SqliteOptions) {
    this.#path = path;
  }

  async connect(): Promise<void> {
    this.#db = translated(() => new DatabaseSync(this.#path, { readOnly: true, timeout: LOCK_PATIENCE }));
    this.#db.exec(`pragma cache_size = -${CACHE}`);
  }

  async begin(): Promise<void> {
    translated(() => this.#open.exec('begin'));
  }

  async all<Row>(text: string): Promise<Row[]> {
    return translated(() => this.#open.prepare(text).all() as Row[]);
  }

  *pages(table: TableShape): Generator<Page> {
    const db = this.#open;
    const first = db.prepare(pageText(table, false));
    const later = db.prepare(pageText(table, true));
    let last: Page | undefined;
    for (;;) {
      const limit = rowsAfter(last);
      const after = last ? keyOfLastLine(table, last.lines) : [];
      const { rows, lines } = translated(() =>
        (last ? later : first).get(...after, limit),
      ) as unknown as PageRow;
      if (lines === null) return;
      last = { rows, lines };
      yield last;
    }
  }

  async close(): Promise<void> {
    if (this.#db?.isOpen) this.#db.close();
  }

  get #open(): DatabaseSync {
    if (!this.#db) throw new TypeError('the reader is not connected');
    return this.#db;
  }
}

/** SQLite makes the lines, which takes half the time that it takes here; it aggregates rows as the inner query orders them. */
function pageText({ name, columns, key }: TableShape, later: boolean): string {
  const members = columns.map((column) => `'${column.name}', ${column.name}`).join(', ');
  const after = later ? `where (${key.join(', ')}) > (${key.map(() => '?').join(', ')})` : '';
  return `select count(*) as rows, cast(group_concat(line, char(10)) || char(10) as blob) as lines
    from (select json_object(${members}) as line from ${name} ${after} order by ${key.join(', ')} limit ?)`;
}

/** How many rows to ask for next, after the size of those before. */
function rowsAfter(page: Page | undefined): number {
  if (!page) return FIRST_ROWS;
  const size = Math.max(1, page.lines.byteLength / page.rows);
  return Math.min(MOST_ROWS, Math.max(1, Math.floor(PAGE / size)));
}

function keyOfLastLine({ key }: TableShape, lines: Uint8Array): (string | number)[] {
  const start = lines.lastIndexOf(LINE_FEED, lines.byteLength - 2) + 1;
  const row = JSON.parse(
    Buffer.from(lines.buffer, lines.byteOffset + start, lines.byteLength - start).toString(),
  );
  return key.map((column) => row[column]);
}
