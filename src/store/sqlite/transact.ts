import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type CompiledStatement, compiled } from '../sql/compiled.ts';
import type { Statement } from '../sql/statement.ts';
import type { Transaction } from '../sql/verb.ts';

type Value = null | number | string | Uint8Array;

interface Prepared {
  readonly bind: CompiledStatement['bind'];
  readonly statement: StatementSync;
}

/** Statements on one connection, each prepared once. Answers at once: SQLite runs in the calling thread. */
export class SqliteStatements implements Transaction {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<object, Prepared>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  all<In extends object, Row>(statement: Statement<In, Row>, input: In): Row[] {
    const { bind, statement: prepared } = this.#prepare(statement);
    return prepared.all(...(bind(input) as Value[])) as Row[];
  }

  first<In extends object, Row>(statement: Statement<In, Row>, input: In): Row | undefined {
    const { bind, statement: prepared } = this.#prepare(statement);
    return prepared.get(...(bind(input) as Value[])) as Row | undefined;
  }

  run<In extends object>(statement: Statement<In, unknown>, input: In): number {
    const { bind, statement: prepared } = this.#prepare(statement);
    return Number(prepared.run(...(bind(input) as Value[])).changes);
  }

  #prepare<In extends object>(statement: Statement<In, unknown>): Prepared {
    const known = this.#prepared.get(statement);
    if (known) return known;
    const { text, bind } = compiled(statement, 'sqlite');
    const prepared = { bind, statement: this.#db.prepare(text) };
    this.#prepared.set(statement, prepared);
    return prepared;
  }
}
