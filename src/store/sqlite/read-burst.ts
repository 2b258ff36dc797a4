import type { DatabaseSync, StatementSync } from 'node:sqlite';

/**
 * Lets reads that follow each other without waiting for anything else, as those of one request do, share one read
 * transaction: to SQLite, taking the read lock and giving it back is dearer than a point read. It is over before the event
 * loop goes on, so it never hides a write that was answered, nor holds up a checkpoint.
 */
export class ReadBurst {
  readonly #db: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#begin = db.prepare('begin');
    this.#commit = db.prepare('commit');
  }

  /** To be called before each read. */
  join(): void {
    if (this.#db.isTransaction) return;
    this.#begin.run();
    // Runs when no promise is left that can be resolved now.
    process.nextTick(() => this.#end());
  }

  #end(): void {
    if (this.#db.isOpen && this.#db.isTransaction) this.#commit.run();
  }
}
