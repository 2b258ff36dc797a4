/** SQLite behind the store: reads on the main thread's own connection, writes through one writer thread. */
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import { type Meter, silentMeter } from '../../kernel/metrics.ts';
import { Listeners } from '../listeners.ts';
import { bindStore, type Driver } from '../sql/bind.ts';
import type { ReadVerb, VerbName, WriteVerb } from '../sql/verb.ts';
import type { Store, Topic } from '../store.ts';
import { connectReader, LOCK_PATIENCE, type SqliteOptions } from './connect.ts';
import { fromSqlite, isBusy } from './errors.ts';
import { ReadBurst } from './read-burst.ts';
import { SharedAnswers } from './shared-answers.ts';
import { SqliteStatements } from './transact.ts';
import { WriterThread } from './writer-thread.ts';

/** How soon, ms, a read that met a lock is tried again. */
const READ_AGAIN_AFTER = 10;

/**
 * Opens a migrated database. The caller holds the lock of the state directory: one process writes.
 * @throws Failure `unavailable` when there is no database that can be read
 */
export function openSqlite(
  options: SqliteOptions,
  log: Log,
  { meter = silentMeter, clock = systemClock }: { readonly meter?: Meter; readonly clock?: Clock } = {},
): Store {
  try {
    return bindStore(new SqliteDriver(options, { log, meter, clock }));
  } catch (error) {
    throw fromSqlite(error);
  }
}

class SqliteDriver implements Driver {
  readonly #reader: DatabaseSync;
  readonly #burst: ReadBurst;
  readonly #shared = new SharedAnswers();
  readonly #listeners = new Listeners();
  readonly #statements: SqliteStatements;
  readonly #writer: WriterThread;

  constructor(options: SqliteOptions, parts: { log: Log; meter: Meter; clock: Clock }) {
    this.#reader = connectReader(options);
    this.#burst = new ReadBurst(this.#reader);
    this.#statements = new SqliteStatements(this.#reader);
    this.#writer = new WriterThread(options, parts);
  }

  read<In, Out>(verb: ReadVerb<In, Out>, input: In): Promise<Out> {
    const find = () => this.#find(verb, input);
    return verb.shared ? this.#shared.ask(verb, input, find) : find();
  }

  async write<In, Out>(verb: WriteVerb<In, Out>, name: VerbName, input: In): Promise<Out> {
    try {
      const answer = (await this.#writer.submit({ ...name, input })) as Out;
      if (verb.announces !== undefined) this.#listeners.tell(verb.announces);
      return answer;
    } finally {
      this.#shared.forget();
    }
  }

  watch(topic: Topic, listener: () => void): Disposable {
    return this.#listeners.add(topic, listener);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    if (this.#reader.isOpen) this.#reader.close();
  }

  async #find<In, Out>(verb: ReadVerb<In, Out>, input: In): Promise<Out> {
    const deadline = performance.now() + LOCK_PATIENCE;
    for (;;) {
      try {
        this.#burst.join();
        return await verb.run(this.#statements, input);
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw fromSqlite(error);
        await sleep(READ_AGAIN_AFTER);
      }
    }
  }
}
