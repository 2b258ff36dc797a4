import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { CreateIndex } from './change.ts';

/** A connection that may change the schema. Engines give one; nothing else does. */
export interface SchemaConnection {
  readonly engine: 'sqlite' | 'postgres';
  all(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** How many rows it changed. */
  run(text: string, values?: readonly unknown[]): Promise<number>;
  /** `?` or `$n`: how this engine writes the n-th value, from 1. */
  placeholder(n: number): string;
  /** The schema that tables are made and looked for in. Failures: `refused` where the connection sees none. */
  schema(): Promise<string>;
  tables(): Promise<ReadonlySet<string>>;
  rowsIn(table: string): Promise<RowCount>;
  /** `table users`, `column users.email`, `index users_email`: what there is. Waits for nobody. */
  names(): Promise<ReadonlySet<string>>;
  /** The schema in a normal form: one line for each table, column, constraint and index, sorted. Bookkeeping is left out. */
  catalog(): Promise<readonly string[]>;
  /**
   * Runs `work` while no other process migrates this database; waits for one that does, and takes over from one that died.
   * Makes the bookkeeping tables where they are missing.
   */
  exclusively<T>(work: (turn: Turn) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface RowCount {
  readonly rows: number;
  /** False for an estimate from the engine's statistics. */
  readonly exact: boolean;
}

/**
 * The right to migrate, for as long as it lasts. Alone, where nobody else is at work on the database, a whole upgrade is
 * one transaction: all of it or nothing. Beside others each step is one, and indexes are built while they write.
 */
export type Turn = TurnAlone | TurnBesideOthers;

export interface TurnAlone {
  readonly alone: true;
  /** Runs `work` in one transaction. */
  transact<T>(work: () => Promise<T>): Promise<T>;
}

export interface TurnBesideOthers {
  readonly alone: false;
  /**
   * Runs `work` in one transaction, from the start again when a lock was not to be had in time. It is not committed when
   * the turn has gone to another meanwhile. Failures: `unavailable` then, and when a lock is never to be had.
   */
  transact<T>(work: () => Promise<T>): Promise<T>;
  /** Builds an index while others write to its table; the one that a killed build left is replaced. */
  buildIndex(change: CreateIndex): Promise<void>;
}

/** What the connection is opened with, beside the database. */
export interface SchemaParts {
  readonly log: Log;
  /** Aborted when somebody wants it to stop: it does between two steps, and wherever it waits. */
  readonly stop?: AbortSignal;
  readonly timing?: Partial<SchemaTiming>;
  /** Nothing is to be written: no database is made where there is none. */
  readonly onlyLook?: boolean;
}

/** All in ms. */
export interface SchemaTiming {
  /** How long a runner that died keeps others waiting. */
  readonly leaseTerm: number;
  /** How long a step may queue for a lock. Whoever comes after it queues as long. */
  readonly lockTimeout: number;
  /** How long a step is tried in all before the run gives up. */
  readonly lockPatience: number;
  /** The pause after the first try that got no lock; each later one is twice as long. */
  readonly firstPause: number;
}

export const TIMING: SchemaTiming = {
  leaseTerm: 15_000,
  lockTimeout: 3000,
  lockPatience: 15 * 60_000,
  firstPause: 500,
};

/** What both engines keep of the steps they have had. */
export const BOOKKEEPING = `create table if not exists schema_migrations (
  version bigint primary key,
  name text not null,
  checksum text not null,
  applied_at bigint not null
)`;

/** Tables of the runner itself, which no step makes. */
export const OWN_TABLES: readonly string[] = ['schema_migrations', 'schema_lease'];

/** Failures: `interrupted` once somebody wants the run to stop. */
export function heed(stop: AbortSignal | undefined): void {
  if (!stop?.aborted) return;
  throw new Failure('interrupted', 'Stopped between two steps of the schema.', {
    hint: 'Run `authserver migrate` again: it goes on where this run ended.',
  });
}
