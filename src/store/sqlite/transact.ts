import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { CompiledStatement, Statement } from '../sql/statement.ts';
import type { Transaction } from '../sql/verb.ts';

type Value = null | number | string | Uint8Array;

interface Prepared {
  readonly compiled: CompiledStatement;
  readonly statement: StatementSync;
}

/** Statements on one connection, each compiled and prepared once. Answers at once: SQLite runs in the calling thread. */
export class SqliteStatements implements Transaction {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<object, Prepared>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  all<In extends object, Row>(statement: Statement<In, Row>, input: In): Row[] {
    const { compiled, statement: prepared } = this.#prepare(statement);
    return prepared.all(...(compiled.bind(input) as Value[])) as Row[];
  }

  first<In extends object, Row>(statement: Statement<In, Row>, input: In): Row | undefined {
    const { compiled, statement: prepared } = this.#prepare(statement);
    return prepared.get(...(compiled.bind(input) as Value[])) as Row | undefined;
  }

  run<In extends object>(statement: Statement<In, unknown>, input: In): number {
    const { compiled, statement: prepared } = this.#prepare(statement);
    return Number(prepared.run(...(compiled.bind(input) as Value[])).changes);
  }

  #prepare<In extends object>(statement: Statement<In, unknown>): Prepared {
    const known = this.#prepared.get(statement);
    if (known) return known;
    const compiled = statement.compile('sqlite');
    const prepared = { compiled, statement: this.#db.prepare(compiled.text) };
    this.#prepared.set(statement, prepared);
    return prepared;
  }
}
