import { PAGE, type Page, type RowReader } from '../snapshot-read.ts';
import type { TableShape } from '../sql/tables.ts';
import type { PostgresOptions } from './connect.ts';
import { CopiedLines, copyText } from './copied-lines.ts';
import { SnapshotSession } from './snapshot-session.ts';

export class PostgresRowReader implements RowReader {
  readonly #session: SnapshotSession;

  constructor(options: PostgresOptions) {
    this.#session = new SnapshotSession(options);
  }

  connect(): Promise<void> {
    return this.#session.connect();
  }

  begin(): Promise<void> {
    return this.#session.begin('isolation level repeatable read read only');
  }

  all<Row>(text: string): Promise<Row[]> {
    return this.#session.rows(text) as Promise<Row[]>;
  }

  /** The server sends the next rows while these are looked at. */
  async *pages(table: TableShape): AsyncGenerator<Page> {
    const lines = new CopiedLines(table, PAGE);
    for await (const piece of this.#session.copy(copyText(table, rowsText(table)))) {
      const page = lines.add(piece);
      if (page) yield page;
    }
    const last = lines.end();
    if (last) yield last;
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** In the order of the bytes, whatever the language of the database. */
function rowsText({ name, columns, key }: TableShape): string {
  const isText = (column: string) => columns.some((one) => one.name === column && one.type === 'text');
  const order = key.map((column) => (isText(column) ? `${column} collate "C"` : column));
  return `select ${columns.map((column) => column.name).join(', ')} from ${name} order by ${order.join(', ')}`;
}
