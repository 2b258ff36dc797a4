/** The reading end of a snapshot, in its thread: the same on both engines but for how lines are got from tables. */
import { Failure } from '../kernel/errors.ts';
import { timeline } from './migrations/timeline.ts';
import type { DeploymentRecord, MigrationRecord } from './records.ts';
import type { SnapshotPart, SnapshotTable } from './snapshot.ts';
import type { Beginning, ReadQuestion } from './snapshot-client.ts';
import type { Answerer } from './snapshot-thread.ts';
import { RunningTotal } from './snapshot-total.ts';
import { AUDIT_HEAD, readLink } from './sql/audit.ts';
import { type TableShape, tablesAfter } from './sql/tables.ts';

/** A connection with one read transaction. */
export interface RowReader {
  connect(): Promise<void>;
  /** Opens the transaction. The first `all` fixes its moment. */
  begin(): Promise<void>;
  all<Row>(text: string): Promise<Row[]>;
  /** A table's lines in the order of its key, in pages that fit well below `CHUNK` where rows are of ordinary size. */
  pages(table: TableShape): Iterable<Page> | AsyncIterable<Page>;
  /** Ends whatever is under way. */
  close(): Promise<void>;
}

export interface Page {
  readonly rows: number;
  readonly lines: Uint8Array;
}

/** How many bytes of lines make a part: large enough that a message costs nothing, small enough to hold some of them. */
const CHUNK = 1024 * 1024;
/** What a page is aimed at, bytes: no more than that is held beside a part. */
export const PAGE = CHUNK / 4;

export class SnapshotReading implements Answerer {
  readonly #reader: RowReader;
  readonly #wanted: readonly string[] | undefined;
  #tables: readonly TableShape[] = [];
  #rows: ReadonlyMap<string, number> = new Map();
  #parts: AsyncGenerator<SnapshotPart> | undefined;

  constructor(reader: RowReader, wanted: readonly string[] | undefined) {
    this.#reader = reader;
    this.#wanted = wanted;
  }

  async answer(question: ReadQuestion): Promise<unknown> {
    if (question === 'connect') return this.#reader.connect();
    if (question === 'begin') return this.#begin();
    if (question === 'count') return this.#count();
    this.#parts ??= this.#read();
    const next = await this.#parts.next();
    return next.done ? undefined : next.value;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  async #begin(): Promise<Beginning> {
    await this.#reader.begin();
    const steps = await this.#reader.all<MigrationRecord>(
      'select version, name, checksum, applied_at from schema_migrations order by version',
    );
    this.#tables = choose(tablesOf(steps), this.#wanted);
    const [deployment] = await this.#reader.all<DeploymentRecord>(
      'select id, created_at, restore_epoch from deployment',
    );
    if (!deployment)
      throw new Failure('refused', 'The database does not say whose it is.', {
        detail: 'deployment has no row',
      });
    const [head] = await this.#reader.all<{ value: string }>(
      `select value from settings where name = '${AUDIT_HEAD}'`,
    );
    return { audit: readLink(head), deployment, steps };
  }

  async #count(): Promise<readonly SnapshotTable[]> {
    const each = this.#tables.map(({ name }) => `select '${name}' as name, count(*) as rows from ${name}`);
    const counted = await this.#reader.all<{ name: string; rows: number }>(each.join(' union all '));
    this.#rows = new Map(counted.map(({ name, rows }) => [name, rows]));
    return this.#tables.map(({ name, columns, key }) => ({
      name,
      columns: columns.map((column) => column.name),
      key,
      rows: this.#rows.get(name) ?? 0,
    }));
  }

  async *#read(): AsyncGenerator<SnapshotPart> {
    for (const table of this.#tables) {
      const total = new RunningTotal(table.name);
      let pages: Page[] = [];
      let size = 0;
      // Most tables of most databases are empty, and were so at the same moment.
      const found = this.#rows.get(table.name) === 0 ? [] : this.#reader.pages(table);
      for await (const page of found) {
        pages.push(page);
        size += page.lines.byteLength;
        if (size < CHUNK) continue;
        yield joined(pages, total);
        pages = [];
        size = 0;
      }
      if (pages.length > 0) yield joined(pages, total);
      yield { kind: 'total', ...total.end() };
    }
  }
}

function joined(pages: readonly Page[], total: RunningTotal): SnapshotPart {
  const size = pages.reduce((sum, { lines }) => sum + lines.byteLength, 0);
  // Memory of its own, not a corner of a shared one: it is given away.
  const bytes = new Uint8Array(size);
  let at = 0;
  let rows = 0;
  for (const page of pages) {
    bytes.set(page.lines, at);
    at += page.lines.byteLength;
    rows += page.rows;
  }
  total.add(rows, bytes);
  return { kind: 'rows', table: total.table, rows, bytes };
}

/** The tables of a database that has had these steps. @throws Failure `refused` for steps that this program does not know */
export function tablesOf(steps: readonly Pick<MigrationRecord, 'version' | 'name'>[]): readonly TableShape[] {
  const known = new Map(timeline.map((step) => [step.version, step]));
  return tablesAfter(
    steps.map(({ version, name }) => {
      const step = known.get(version);
      if (step) return step;
      throw new Failure(
        'refused',
        `The database has schema step ${version} (${name}), which this version does not know.`,
        {
          hint: 'It was migrated by a newer authserver. Use that version.',
        },
      );
    }),
  );
}

function choose(tables: readonly TableShape[], wanted: readonly string[] | undefined): readonly TableShape[] {
  if (!wanted) return tables;
  const missing = wanted.find((name) => !tables.some((table) => table.name === name));
  if (missing !== undefined) throw new TypeError(`there is no table ${missing} to read`);
  return tables.filter(({ name }) => wanted.includes(name));
}
