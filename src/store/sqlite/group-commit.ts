import type { DatabaseSync } from 'node:sqlite';
import { type FailureParcel, packFailure } from '../failure-parcel.ts';
import type { VerbName } from '../sql/verb.ts';
import { findVerb } from '../sql/verbs.ts';
import { type ChangeLog, endChain } from './change-log.ts';
import { batchUndone, fromSqlite } from './errors.ts';
import { SqliteStatements } from './transact.ts';

/** A verb on its way to the writer. */
export interface Job extends VerbName {
  readonly input: unknown;
}

/** What is committed together. */
export interface Batch {
  readonly jobs: readonly Job[];
  /** ms: when it was sent, which is after all of its jobs were given. */
  readonly sentAt: number;
}

export type Answer = { readonly value: unknown } | { readonly failure: FailureParcel };

/**
 * Runs many units of work in one transaction, a savepoint each, and answers them all after the one commit: a verb that
 * fails is undone alone; if the commit fails, none of them has happened and all are told `unavailable`.
 */
export class GroupCommit {
  readonly #db: DatabaseSync;
  readonly #statements: SqliteStatements;
  readonly #log: ChangeLog | undefined;
  #mayBeInChain = true;

  /** @param log undefined where what is committed is not logged */
  constructor(db: DatabaseSync, log?: ChangeLog) {
    this.#db = db;
    this.#statements = new SqliteStatements(db);
    this.#log = log;
  }

  async run({ jobs, sentAt }: Batch): Promise<Answer[]> {
    try {
      this.#db.exec('begin immediate');
      if (this.#log) this.#log.begin();
      else if (this.#mayBeInChain) endChain(this.#db);
      const answers: Answer[] = [];
      for (const job of jobs) answers.push(await this.#runOne(job));
      this.#log?.seal(sentAt);
      this.#db.exec('commit');
      this.#log?.committed();
      this.#mayBeInChain = false;
      return answers;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback');
      this.#log?.undone();
      const failure = packFailure(batchUndone(error));
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
      return { failure: packFailure(fromSqlite(error)) };
    }
  }
}
