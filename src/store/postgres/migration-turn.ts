import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { CreateIndex } from '../migrations/change.ts';
import {
  BOOKKEEPING,
  heed,
  type SchemaParts,
  type SchemaTiming,
  TIMING,
  type TurnBesideOthers,
} from '../migrations/connection.ts';
import { LockWatch } from './lock-watch.ts';
import type { SideConnection } from './side-connection.ts';

/** Two sessions that make the same table at once trip over each other even with `if not exists`. */
const BOOKKEEPING_LOCK = 4_179_340_452_001;
const LEASE_TABLE = `create table if not exists schema_lease (
  name text primary key,
  holder text not null,
  held_until bigint not null
)`;
/** ms, by the one clock that all runners share. */
const NOW = '(extract(epoch from clock_timestamp()) * 1000)::bigint';
/** How often, ms, a runner that waits looks again. */
const POLL = 500;
const LONGEST_PAUSE = 15_000;
/** lock_not_available, deadlock_detected: the transaction was undone and may simply be tried again. */
const NO_LOCK = new Set(['55P03', '40P01']);

/**
 * The right to migrate, kept as a row with an end: a runner that dies, or a machine that vanishes, loses it by time, and an
 * advisory lock would hang on a half-open connection for hours. Each transaction checks at its end that the row is still
 * ours, so a runner that slept cannot commit over the next one.
 */
export class MigrationTurn implements TurnBesideOthers {
  readonly alone = false;
  readonly #client: Client;
  readonly #side: SideConnection;
  readonly #parts: SchemaParts;
  readonly #timing: SchemaTiming;
  readonly #holder: string;
  #heart: NodeJS.Timeout | undefined;

  private constructor(client: Client, side: SideConnection, parts: SchemaParts) {
    this.#client = client;
    this.#side = side;
    this.#parts = parts;
    this.#timing = { ...TIMING, ...parts.timing };
    this.#holder = `process ${process.pid} on ${hostname()} (${randomUUID().slice(0, 8)})`;
  }

  /** Waits for its turn. `side` is for what has to go on while `client` is busy. */
  static async take(client: Client, side: SideConnection, parts: SchemaParts): Promise<MigrationTurn> {
    const turn = new MigrationTurn(client, side, parts);
    await client.query('set statement_timeout = 0');
    await turn.#makeBookkeeping();
    await turn.#wait();
    const beat = () => void side.query(...turn.#renewal()).catch(() => undefined);
    turn.#heart = setInterval(beat, turn.#timing.leaseTerm / 4).unref();
    return turn;
  }

  async release(): Promise<void> {
    clearInterval(this.#heart);
    // Who dies here leaves a lease that runs out by itself.
    const text = `delete from schema_lease where name = 'migrate' and holder = $1`;
    await this.#side.query(text, [this.#holder]).catch(() => undefined);
  }

  async transact<T>(work: () => Promise<T>): Promise<T> {
    return this.#untilLocked(async () => {
      await this.#client.query('begin');
      try {
        await this.#client.query(`set local lock_timeout = ${this.#timing.lockTimeout}`);
        const value = await work();
        await this.#renewOrFail();
        await this.#client.query('commit');
        return value;
      } catch (error) {
        // When the connection is gone the database rolls back by itself, and the first error tells more.
        await this.#client.query('rollback').catch(() => {});
        throw error;
      }
    });
  }

  /** Outside a transaction, as `concurrently` wants it. It waits for whoever uses the table, and nobody waits for it. */
  async buildIndex({ index, text }: CreateIndex): Promise<void> {
    await this.#renewOrFail();
    const found = await this.#client.query(
      'select indisvalid from pg_index where indexrelid = to_regclass($1)',
      [index],
    );
    if (found.rows[0]?.indisvalid === true) return;
    await this.#client.query('set lock_timeout = 0');
    if (found.rows.length > 0) {
      this.#parts.log.warn({ index }, 'an index was left half-built; it is dropped and built anew');
      await this.#client.query(`drop index concurrently ${index}`);
    }
    await this.#client.query(text.replace(/^create (unique )?index /, 'create $1index concurrently '));
  }

  async #makeBookkeeping(): Promise<void> {
    await this.#client.query('begin');
    try {
      await this.#client.query('select pg_advisory_xact_lock($1)', [BOOKKEEPING_LOCK]);
      await this.#client.query(BOOKKEEPING);
      await this.#client.query(LEASE_TABLE);
      await this.#client.query('commit');
    } catch (error) {
      await this.#client.query('rollback').catch(() => {});
      throw error;
    }
  }

  async #wait(): Promise<void> {
    let told: string | undefined;
    while (!(await this.#acquire())) {
      const { rows } = await this.#side.query(`select holder from schema_lease where name = 'migrate'`);
      const holder: string | undefined = rows[0]?.holder;
      if (holder !== undefined && holder !== told) {
        this.#parts.log.info({ holder }, 'another process migrates this database; waiting for it');
        told = holder;
      }
      heed(this.#parts.stop);
      await sleep(Math.min(POLL, this.#timing.leaseTerm / 4));
    }
  }

  async #acquire(): Promise<boolean> {
    const { rowCount } = await this.#side.query(
      `insert into schema_lease (name, holder, held_until) values ('migrate', $1, ${NOW} + $2)
       on conflict (name) do update set holder = excluded.holder, held_until = excluded.held_until
       where schema_lease.held_until <= ${NOW}`,
      [this.#holder, this.#timing.leaseTerm],
    );
    return rowCount === 1;
  }

  #renewal(): [text: string, values: unknown[]] {
    const text = `update schema_lease set held_until = ${NOW} + $2 where name = 'migrate' and holder = $1`;
    return [text, [this.#holder, this.#timing.leaseTerm]];
  }

  async #renewOrFail(): Promise<void> {
    const { rowCount } = await this.#client.query(...this.#renewal());
    if (rowCount === 1) return;
    throw new Failure('unavailable', 'Another process has taken over the migration of this database.', {
      detail: `the lease of ${this.#holder} ran out: this process slept, or could not reach the database`,
      hint: 'Run `authserver migrate` again: it waits for the other and takes what is left.',
    });
  }

  /** Lets go and waits, longer each time, when somebody holds a lock: whoever queues behind us waits for us as well. */
  async #untilLocked<T>(work: () => Promise<T>): Promise<T> {
    const { lockPatience, firstPause } = this.#timing;
    const { log, stop } = this.#parts;
    const deadline = performance.now() + lockPatience;
    const watch = new LockWatch(this.#client, this.#side);
    for (let pause = firstPause; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        return await watch.during(work, this.#timing.lockTimeout / 3);
      } catch (error) {
        if (!NO_LOCK.has(codeOf(error))) throw error;
        const held_by = watch.seen;
        if (performance.now() + pause > deadline) throw neverLocked(held_by, error);
        log.warn({ held_by, again_in_ms: pause }, 'a lock that the schema step needs is held; trying again');
      }
      heed(stop);
      await sleep(pause);
    }
  }
}

/** Of the error itself, or of what it was made from. */
function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return String(cause?.code ?? code ?? '');
}

function neverLocked(heldBy: readonly string[], cause: unknown): Failure {
  return new Failure('unavailable', 'A lock that the schema step needs was never let go of.', {
    detail: heldBy.length === 0 ? 'nobody was seen to hold it' : `held by ${heldBy.join('; ')}`,
    hint: 'Wait until that session has ended (a dump, a report), or end it with `select pg_terminate_backend(PID)`, then run `authserver migrate` again.',
    cause,
  });
}
