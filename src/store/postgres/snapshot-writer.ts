import { Failure } from '../../kernel/errors.ts';
import { type RowWriter, unfit } from '../snapshot-load.ts';
import type { TableShape } from '../sql/tables.ts';
import type { PostgresOptions } from './connect.ts';
import { SnapshotSession } from './snapshot-session.ts';

/** Something that would be looked after row by row, and is made anew in the end. */
interface Dependant {
  readonly drop: string;
  readonly make: string;
}

const INDEXES = `select format('drop index %I', indexname) as drop, indexdef as make
  from pg_indexes i where schemaname = current_schema() and not exists (
    select 1 from pg_constraint where contype in ('p', 'u', 'x') and conindid = format('%I', i.indexname)::regclass)
  order by indexname`;
const FOREIGN_KEYS = `select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
    format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as make
  from pg_constraint where contype = 'f' and connamespace = current_schema()::regnamespace order by conname`;

export class PostgresRowWriter implements RowWriter {
  readonly #session: SnapshotSession;
  #dependants: readonly Dependant[] = [];

  constructor(options: PostgresOptions) {
    this.#session = new SnapshotSession(options);
  }

  /**
   * Takes foreign keys, and the indexes that are not keys, away, to make them again in the end: most of a load's time would
   * go into them, and tables could not come in any order.
   */
  async begin(): Promise<void> {
    await this.#session.connect();
    await this.#session.begin('isolation level read committed');
    await this.run("set local maintenance_work_mem = '128MB'");
    const indexes = await this.#session.rows<Dependant>(INDEXES);
    this.#dependants = [...indexes, ...(await this.#session.rows<Dependant>(FOREIGN_KEYS))];
    await this.run(this.#dependants.map(({ drop }) => drop).join(';'));
  }

  all<Row>(text: string): Promise<Row[]> {
    return this.#session.rows(text) as Promise<Row[]>;
  }

  async run(text: string): Promise<void> {
    await this.#session.run(text);
  }

  async insert({ name, columns }: TableShape, array: string): Promise<number> {
    const names = columns.map((column) => column.name).join(', ');
    const typed = columns.map((column) => `${column.name} ${column.type}`).join(', ');
    try {
      return await this.#session.run(
        `insert into ${name} (${names}) select ${names} from json_to_recordset($1::json) as r (${typed})`,
        [array],
      );
    } catch (error) {
      throw doesNotFit(error) ? unfit(`a row does not fit into ${name}`, error) : error;
    }
  }

  async commit(): Promise<void> {
    try {
      await this.run(this.#dependants.map(({ make }) => make).join(';'));
    } catch (error) {
      throw doesNotFit(error) ? unfit('a row breaks a rule of the schema', error) : error;
    }
    await this.run('commit');
    await this.run('analyze');
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** SQLSTATE classes of rows that are not what the table wants: of another type, or against one of its rules. */
function doesNotFit(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error;
  return /^2[23]/.test(String((cause as { code?: unknown } | undefined)?.code));
}
