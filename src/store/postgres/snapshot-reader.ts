import { type Page, type RowReader, rowsAfter } from '../snapshot-read.ts';
import type { TableShape } from '../sql/tables.ts';
import type { PostgresOptions } from './connect.ts';
import { SnapshotSession } from './snapshot-session.ts';

/** A page is a round trip. */
const MOST_ROWS = 2048;

export class PostgresRowReader implements RowReader {
  readonly #session: SnapshotSession;

  constructor(options: PostgresOptions) {
    this.#session = new SnapshotSession(options);
  }

  connect(): Promise<void> {
    return this.#session.connect();
  }

  async begin(): Promise<void> {
    await this.#session.begin('isolation level repeatable read read only');
    // A cursor is planned for somebody who wants few rows, unless they say otherwise.
    await this.#session.run('set local cursor_tuple_fraction = 1');
  }

  all<Row>(text: string): Promise<Row[]> {
    return this.#session.rows(text) as Promise<Row[]>;
  }

  /** The server makes the lines, and the next ones while these are looked at. */
  async *pages(table: TableShape): AsyncGenerator<Page> {
    const session = this.#session;
    await session.run(`declare lines no scroll cursor for ${linesText(table)}`);
    const fetch = (wanted: number) => {
      const found = session.rows<{ line: string }>(`fetch ${wanted} from lines`);
      found.catch(() => {});
      return { wanted, found };
    };
    let coming = fetch(rowsAfter(undefined, MOST_ROWS));
    for (;;) {
      const { wanted, found } = coming;
      const rows = await found;
      if (rows.length === 0) break;
      const page = { rows: rows.length, lines: Buffer.from(`${rows.map(({ line }) => line).join('\n')}\n`) };
      if (rows.length === wanted) coming = fetch(rowsAfter(page, MOST_ROWS));
      yield page;
      if (rows.length < wanted) break;
    }
    await session.run('close lines');
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** In the order of the bytes, whatever the language of the database; `row_to_json` writes as JSON.stringify does. */
function linesText({ name, columns, key }: TableShape): string {
  const isText = (column: string) => columns.some((one) => one.name === column && one.type === 'text');
  const order = key.map((column) => (isText(column) ? `${column} collate "C"` : column));
  const names = columns.map((column) => column.name).join(', ');
  return `select row_to_json(r)::text as line from (select ${names} from ${name} order by ${order.join(', ')}) as r`;
}
