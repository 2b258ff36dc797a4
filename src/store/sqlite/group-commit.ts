import type { DatabaseSync } from 'node:sqlite';
import { asFailure, type FailureCode } from '../../kernel/errors.ts';
import type { VerbName } from '../sql/verb.ts';
import { findVerb } from '../sql/verbs.ts';
import { batchUndone, fromSqlite } from './errors.ts';
import { SqliteStatements } from './transact.ts';

/** A verb on its way to the writer. */
export interface Job extends VerbName {
  readonly input: unknown;
}

/** A failure as it travels between threads. */
export interface FailureParcel {
  readonly code: FailureCode;
  readonly sentence: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfter: number | undefined;
}

export type Answer = { readonly value: unknown } | { readonly failure: FailureParcel };

/**
 * Runs many units of work in one transaction, a savepoint each, and answers them all after the one commit: a verb that
 * fails is undone alone; if the commit fails, none of them has happened and all are told `unavailable`.
 */
export class GroupCommit {
  readonly #db: DatabaseSync;
  readonly #statements: SqliteStatements;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#statements = new SqliteStatements(db);
  }

  async run(jobs: readonly Job[]): Promise<Answer[]> {
    try {
      this.#db.exec('begin immediate');
      const answers: Answer[] = [];
      for (const job of jobs) answers.push(await this.#runOne(job));
      this.#db.exec('commit');
      return answers;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback');
      const failure = parcel(batchUndone(error));
      return jobs.map(() => ({ failure }));
    }
  }

  async #runOne(job: Job): Promise<Answer> {
    this.#db.exec('savepoint verb');
    try {
      const verb = findVerb(job);
      const value = await verb.run(this.#statements, job.input);
      this.#db.exec('release verb');
      return { value };
    } catch (error) {
      // A full disk or an I/O error may have rolled the whole transaction back already: then nothing here has happened.
      if (!this.#db.isTransaction) throw error;
      this.#db.exec('rollback to verb');
      this.#db.exec('release verb');
      return { failure: parcel(error) };
    }
  }
}

function parcel(error: unknown): FailureParcel {
  const failure = asFailure(fromSqlite(error));
  return {
    code: failure.code,
    sentence: failure.message,
    detail: failure.detail,
    hint: failure.hint,
    retryAfter: failure.retryAfter,
  };
}
