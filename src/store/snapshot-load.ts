/** The filling end of a snapshot, in its thread: checks what comes, and lets an engine put it in. */
import { Failure } from '../kernel/errors.ts';
import { nameOf } from './migrations/timeline.ts';
import type { MigrationRecord } from './records.ts';
import type { RowLines, SnapshotLoad, SnapshotPart, TableTotal } from './snapshot.ts';
import type { LoadQuestion } from './snapshot-client.ts';
import { tablesOf } from './snapshot-read.ts';
import type { Answerer } from './snapshot-thread.ts';
import { RunningTotal } from './snapshot-total.ts';
import { FILLED_BY_MIGRATIONS, type TableShape } from './sql/tables.ts';

/** A connection with one write transaction, in which foreign keys wait for the end. */
export interface RowWriter {
  begin(): Promise<void>;
  all<Row>(text: string): Promise<Row[]>;
  run(text: string): Promise<void>;
  /** Puts in the rows of a JSON array, each an object with all columns; how many they were. */
  insert(table: TableShape, array: string): Promise<number>;
  /** Checks the foreign keys, then commits. @throws Failure `refused` for a row that points at none */
  commit(): Promise<void>;
  /** Undoes what is not committed. */
  close(): Promise<void>;
}

export class SnapshotLoading implements Answerer {
  readonly #writer: RowWriter;
  readonly #expected: SnapshotLoad['steps'];
  /** Those that are still to come. */
  #missing = new Map<string, TableShape>();
  #current: { readonly shape: TableShape; readonly total: RunningTotal } | undefined;
  readonly #totals: TableTotal[] = [];

  constructor(writer: RowWriter, expected: SnapshotLoad['steps']) {
    this.#writer = writer;
    this.#expected = expected;
  }

  async answer(question: LoadQuestion): Promise<unknown> {
    if (question === 'begin') return this.#begin();
    if (question === 'finish') return this.#finish();
    return this.#take(question.part);
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  async #begin(): Promise<void> {
    await this.#writer.begin();
    const steps = await this.#steps();
    if (!sameSteps(this.#expected, steps)) throw otherSchema(this.#expected, steps);
    const tables = tablesOf(steps);
    await this.#checkEmpty(
      tables.map(({ name }) => name).filter((name) => !FILLED_BY_MIGRATIONS.includes(name)),
    );
    for (const name of FILLED_BY_MIGRATIONS) await this.#writer.run(`delete from ${name}`);
    this.#missing = new Map(tables.map((table) => [table.name, table]));
  }

  #steps(): Promise<MigrationRecord[]> {
    return this.#writer.all('select version, name, checksum from schema_migrations order by version');
  }

  async #checkEmpty(tables: readonly string[]): Promise<void> {
    const each = tables.map((name) => `select '${name}' as name where exists (select 1 from ${name})`);
    const [filled] = await this.#writer.all<{ name: string }>(each.join(' union all '));
    if (!filled) return;
    throw new Failure('refused', `The database is in use already: it has rows in ${filled.name}.`, {
      hint: 'Rows are put into an empty database only. Name another one, or restore in place with `authserver restore`.',
    });
  }

  async #take(part: SnapshotPart): Promise<void> {
    this.#current ??= this.#start(part.table);
    const { shape, total } = this.#current;
    if (shape.name !== part.table) throw unfit(`rows of ${part.table} come before the end of ${shape.name}`);
    if (part.kind === 'rows') {
      total.add(part.rows, part.bytes);
      await this.#insert(shape, part);
      return;
    }
    const found = total.end();
    if (found.rows !== part.rows || found.digest !== part.digest) {
      throw unfit(
        `${part.table} was to have ${part.rows} rows with the digest ${part.digest}, ` +
          `and has ${found.rows} with ${found.digest}`,
      );
    }
    this.#totals.push(found);
    this.#current = undefined;
  }

  #start(table: string): { shape: TableShape; total: RunningTotal } {
    const shape = this.#missing.get(table);
    if (!shape) throw unfit(`${table} comes twice, or is no table of this schema`);
    this.#missing.delete(table);
    return { shape, total: new RunningTotal(table) };
  }

  async #insert(shape: TableShape, { table, rows, bytes }: RowLines): Promise<void> {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    if (!text.endsWith('\n')) throw unfit(`a line of ${table} has no end`);
    // A line feed within a text is escaped; those that are left stand between rows.
    const inserted = await this.#writer.insert(shape, `[${text.slice(0, -1).replaceAll('\n', ',')}]`);
    if (inserted !== rows) throw unfit(`${table} was to have ${rows} more rows, and ${inserted} came`);
  }

  async #finish(): Promise<readonly TableTotal[]> {
    if (this.#current) throw unfit(`${this.#current.shape.name} has no end`);
    const [absent] = this.#missing.keys();
    if (absent !== undefined) throw unfit(`${absent} is missing`);
    if (!sameSteps(this.#expected, await this.#steps()))
      throw unfit('schema_migrations tells of another schema');
    await this.#writer.commit();
    return this.#totals;
  }
}

/** What is put in does not hang together; nothing of it stays. */
export function unfit(detail: string, cause?: unknown): Failure {
  return new Failure('invalid_input', `The rows do not make a whole database: ${detail}.`, {
    hint: 'Nothing was changed. Use another backup, and look at where this one comes from.',
    cause,
  });
}

function sameSteps(expected: SnapshotLoad['steps'], found: SnapshotLoad['steps']): boolean {
  const text = (steps: SnapshotLoad['steps']) =>
    steps.map(({ version, checksum }) => `${version} ${checksum}`).join();
  return text(expected) === text(found);
}

function otherSchema(expected: SnapshotLoad['steps'], found: SnapshotLoad['steps']): Failure {
  const text = (steps: SnapshotLoad['steps']) => steps.map(nameOf).join(', ');
  return new Failure('refused', `The rows are of another schema: ${text(expected)}, not ${text(found)}.`, {
    detail: 'a step is missing, is one too many, or has other content',
    hint: 'Migrate an empty database up to the same step, fill it, then migrate on.',
  });
}
