/** PostgreSQL behind the store: a pool, a transaction a unit of work, statements prepared by name. */
import type { Pool, PoolClient } from 'pg';
import type { Log } from '../../kernel/log.ts';
import { bindStore, type Driver } from '../sql/bind.ts';
import type { ReadVerb, VerbName, WriteVerb } from '../sql/verb.ts';
import type { Store } from '../store.ts';
import { connectPool, type PostgresOptions } from './connect.ts';
import { fromPostgres, isRetryable } from './errors.ts';
import { PostgresStatements } from './transact.ts';

/** How often a unit of work that lost a deadlock is tried. */
const TRIES = 4;

/** Opens a migrated database. */
export function openPostgres(options: PostgresOptions, log: Log): Store {
  return bindStore(new PostgresDriver(connectPool(options, log)));
}

class PostgresDriver implements Driver {
  readonly #pool: Pool;
  readonly #statements = new PostgresStatements();
  readonly #reader;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#reader = this.#statements.on(pool);
  }

  async read<In, Out>(verb: ReadVerb<In, Out>, input: In): Promise<Out> {
    try {
      return await verb.run(this.#reader, input);
    } catch (error) {
      throw fromPostgres(error);
    }
  }

  async write<In, Out>(verb: WriteVerb<In, Out>, _name: VerbName, input: In): Promise<Out> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#transact(verb, input);
      } catch (error) {
        if (attempt >= TRIES || !isRetryable(error)) throw fromPostgres(error);
      }
    }
  }

  async #transact<In, Out>(verb: WriteVerb<In, Out>, input: In): Promise<Out> {
    const client: PoolClient = await this.#pool.connect();
    let broken: Error | undefined;
    try {
      await client.query('begin');
      const value = await verb.run(this.#statements.on(client), input);
      await client.query('commit');
      return value;
    } catch (error) {
      // A connection that cannot even roll back is not given to anybody again.
      await client.query('rollback').catch((fault: Error) => {
        broken = fault;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
