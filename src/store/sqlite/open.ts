/** SQLite behind the store: reads on the main thread's own connection, writes through one writer thread. */
import type { DatabaseSync } from 'node:sqlite';
import type { Log } from '../../kernel/log.ts';
import { bindStore, type Driver } from '../sql/bind.ts';
import type { ReadVerb, VerbName, WriteVerb } from '../sql/verb.ts';
import type { Store } from '../store.ts';
import { connectReader, type SqliteOptions } from './connect.ts';
import { fromSqlite } from './errors.ts';
import { SqliteStatements } from './transact.ts';
import { WriterThread } from './writer-thread.ts';

/** Opens a migrated database. The caller holds the lock of the state directory: one process writes. */
export function openSqlite(options: SqliteOptions, log: Log): Store {
  return bindStore(new SqliteDriver(options, log));
}

class SqliteDriver implements Driver {
  readonly #reader: DatabaseSync;
  readonly #statements: SqliteStatements;
  readonly #writer: WriterThread;

  constructor(options: SqliteOptions, log: Log) {
    this.#reader = connectReader(options);
    this.#statements = new SqliteStatements(this.#reader);
    this.#writer = new WriterThread(options, log);
  }

  async read<In, Out>(verb: ReadVerb<In, Out>, input: In): Promise<Out> {
    try {
      return await verb.run(this.#statements, input);
    } catch (error) {
      throw fromSqlite(error);
    }
  }

  write<In, Out>(_verb: WriteVerb<In, Out>, name: VerbName, input: In): Promise<Out> {
    return this.#writer.submit({ ...name, input }) as Promise<Out>;
  }

  async close(): Promise<void> {
    await this.#writer.close();
    this.#reader.close();
  }
}
