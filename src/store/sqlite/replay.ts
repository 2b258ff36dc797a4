/** What the recovery log holds, put back into a database that nobody else has open. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { constants, DatabaseSync } from 'node:sqlite';
import { Failure } from '../../kernel/errors.ts';
import { type Frame, type LogPosition, POSITION, readPosition } from '../change-frame.ts';

export class Replay implements Disposable {
  readonly #path: string;
  readonly #db: DatabaseSync;

  /** @throws Failure `refused` when there is no such database */
  constructor(path: string) {
    this.#path = path;
    try {
      // A changeset holds what a foreign key took along, so that it must not be taken again.
      this.#db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
      this.#db.exec('pragma synchronous = off');
    } catch (cause) {
      throw new Failure('refused', 'The staged database cannot be opened.', { detail: path, cause });
    }
  }

  /** Where the database stands; undefined when it was not made from one that was logged. */
  position(): LogPosition | undefined {
    const row = this.#db.prepare('select value from settings where name = ?').get(POSITION);
    return readPosition(row?.['value'] as string | undefined);
  }

  /**
   * All of the frames or none.
   * @param source where they are from, as an operator would look for it
   * @throws Failure `failed` when one does not fit what the database holds
   */
  apply(frames: readonly Frame[], chain: string, source: string): void {
    const last = frames.at(-1);
    if (!last) return;
    this.#db.exec('begin immediate');
    try {
      for (const frame of frames) this.#applyOne(frame, source);
      this.#db
        .prepare('update settings set value = ?, updated_at = ? where name = ?')
        .run(JSON.stringify({ chain, batch: last.batch }), last.at, POSITION);
      this.#db.exec('commit');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback');
      throw error;
    }
  }

  /**
   * Checks that no row points at one that is not there, and brings everything to the disk.
   * @throws Failure `failed`
   */
  finish(): void {
    const [loose] = this.#db.prepare('pragma foreign_key_check').all();
    if (loose) {
      throw new Failure('failed', `After the recovery log, a row of ${loose['table']} points at none.`, {
        detail: JSON.stringify(loose),
        hint: 'The backup and the log do not belong together. Restore the backup without `--to`, or an older one.',
      });
    }
    this.#db.exec('pragma wal_checkpoint(truncate)');
    this.#db.close();
    for (const place of [this.#path, dirname(this.#path)]) flush(place);
  }

  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #applyOne({ batch, changes }: Frame, source: string): void {
    let conflict = 0;
    const onConflict = (kind: number) => {
      conflict = kind;
      return constants.SQLITE_CHANGESET_ABORT;
    };
    if (this.#db.applyChangeset(changes, { onConflict }) && conflict === 0) return;
    throw new Failure('failed', `Batch ${batch} of the recovery log does not fit the database.`, {
      detail: `${source}: ${CONFLICTS.get(conflict) ?? 'a constraint does not hold'}`,
      hint: 'The backup and the log do not belong together. Restore up to an earlier time, or another backup.',
    });
  }
}

const CONFLICTS: ReadonlyMap<number, string> = new Map([
  [constants.SQLITE_CHANGESET_DATA, 'a row is not what it was'],
  [constants.SQLITE_CHANGESET_NOTFOUND, 'a row is not there'],
  [constants.SQLITE_CHANGESET_CONFLICT, 'a row is there already'],
  [constants.SQLITE_CHANGESET_FOREIGN_KEY, 'a foreign key does not hold'],
]);

function flush(place: string): void {
  const descriptor = openSync(place, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
