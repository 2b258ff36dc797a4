/** PostgreSQL behind the store: a pool, a transaction a unit of work, statements prepared by name. */
import type { Pool, PoolClient } from 'pg';
import type { Log } from '../../kernel/log.ts';
import { type Meter, silentMeter } from '../../kernel/metrics.ts';
import { bindStore, type Driver } from '../sql/bind.ts';
import { databaseUnavailable } from '../sql/failures.ts';
import type { ReadVerb, VerbName, WriteVerb } from '../sql/verb.ts';
import type { Store, Topic } from '../store.ts';
import { connectPool, type PostgresOptions } from './connect.ts';
import { fromPostgres, isRetryable, spoilsConnection } from './errors.ts';
import { channelOf, NOTIFY, Notifications } from './notify.ts';
import { PostgresStatements } from './transact.ts';

/** How often a unit of work that lost a deadlock is tried. */
const TRIES = 4;

/** Opens a migrated database. */
export function openPostgres(options: PostgresOptions, log: Log, meter: Meter = silentMeter): Store {
  // After a migration by another process each pooled connection may fail once, because its plans are stale.
  const tries = TRIES + options.maxConnections;
  const notifications = new Notifications(options, log);
  return bindStore(
    new PostgresDriver(connectPool(options, log, meter), notifications, channelOf(options), tries),
  );
}

class PostgresDriver implements Driver {
  readonly #pool: Pool;
  readonly #notifications: Notifications;
  readonly #channel: string;
  readonly #tries: number;
  readonly #statements = new PostgresStatements();
  /** Each statement on whichever connection is free. */
  readonly #pooled;
  readonly #idle = Promise.withResolvers<void>();
  #underway = 0;
  #closed: Promise<void> | undefined;

  constructor(pool: Pool, notifications: Notifications, channel: string, tries: number) {
    this.#pool = pool;
    this.#notifications = notifications;
    this.#channel = channel;
    this.#tries = tries;
    this.#pooled = this.#statements.on(pool);
  }

  read<In, Out>(verb: ReadVerb<In, Out>, input: In): Promise<Out> {
    return this.#accept(() => verb.run(this.#pooled, input));
  }

  write<In, Out>(verb: WriteVerb<In, Out>, _name: VerbName, input: In): Promise<Out> {
    return this.#accept(() => (verb.single ? verb.run(this.#pooled, input) : this.#transact(verb, input)));
  }

  watch(topic: Topic, listener: () => void): Disposable {
    return this.#notifications.watch(topic, listener);
  }

  /** Finishes what was accepted: the pool itself would forget whoever waits for a connection. */
  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    if (this.#underway > 0) await this.#idle.promise;
    await Promise.all([this.#notifications.close(), this.#pool.end()]);
  }

  async #accept<Out>(work: () => Promise<Out>): Promise<Out> {
    if (this.#closed) throw databaseUnavailable('the store is closing');
    this.#underway += 1;
    try {
      return await this.#persist(work);
    } finally {
      this.#underway -= 1;
      if (this.#closed && this.#underway === 0) this.#idle.resolve();
    }
  }

  async #persist<Out>(work: () => Promise<Out>): Promise<Out> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (attempt >= this.#tries || !isRetryable(error)) throw fromPostgres(error);
      }
    }
  }

  async #transact<In, Out>(verb: WriteVerb<In, Out>, input: In): Promise<Out> {
    const client = await this.#pool.connect();
    let usable = true;
    try {
      await client.query('begin');
      const value = await verb.run(this.#statements.on(client), input);
      // PostgreSQL delivers it with the commit, and forgets it with a rollback.
      if (verb.announces !== undefined) await client.query(NOTIFY, [this.#channel, verb.announces]);
      await client.query('commit');
      return value;
    } catch (error) {
      usable = !spoilsConnection(error) && (await rolledBack(client));
      throw error;
    } finally {
      client.release(!usable);
    }
  }
}

/** False for a connection that cannot even roll back: it is not given to anybody again. */
async function rolledBack(client: PoolClient): Promise<boolean> {
  try {
    await client.query('rollback');
    return true;
  } catch {
    return false;
  }
}
