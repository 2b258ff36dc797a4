import type { Pool, PoolClient } from 'pg';
import { sha256 } from '../../kernel/bytes.ts';
import { type CompiledStatement, compiled } from '../sql/compiled.ts';
import type { Statement } from '../sql/statement.ts';
import type { Transaction } from '../sql/verb.ts';

interface Named extends CompiledStatement {
  readonly name: string;
}

/** The compiled statements; PostgreSQL prepares each once per connection, by its name. */
export class PostgresStatements {
  readonly #named = new Map<object, Named>();

  on(connection: Pool | PoolClient): Transaction {
    return {
      all: async (statement, input) => (await this.#query(connection, statement, input)).rows,
      first: async (statement, input) => (await this.#query(connection, statement, input)).rows[0],
      run: async (statement, input) => (await this.#query(connection, statement, input)).rowCount ?? 0,
    };
  }

  #query<In extends object>(connection: Pool | PoolClient, statement: Statement<In, unknown>, input: In) {
    const { name, text, bind } = this.#name(statement);
    return connection.query({ name, text, values: bind(input) });
  }

  #name<In extends object>(statement: Statement<In, unknown>): Named {
    const known = this.#named.get(statement);
    if (known) return known;
    const text = compiled(statement, 'postgres');
    // Named by its text: a connection that outlives an upgrade never runs an older text under the same name.
    const named = { name: sha256(text.text).slice(0, 24), ...text };
    this.#named.set(statement, named);
    return named;
  }
}
