/**
 * The recovery log as the writer thread keeps it: each batch that changed something is put into the spool just before it is
 * committed, and the database says in the same transaction how far the log goes. So a killed process loses nothing of the
 * log; at the next start the database tells whether the last frame counts.
 */
import type { DatabaseSync, Session, StatementSync } from 'node:sqlite';
import { makeIds, timeIn } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import { type LogPosition, NO_POSITION, POSITION, readPosition, writeFrame } from '../change-frame.ts';
import { listSpool, shippedUpTo } from '../change-spool.ts';
import { beginSpool, dropSpool, resumeSpool, type SpoolWriter, spoolSize } from './change-spool-writer.ts';

export interface ChangeLogOptions {
  /** Of the spool. */
  readonly folder: string;
  /** Bytes of the spool, and of one file of it; for tests, which cannot write as much. */
  readonly limit?: number;
  readonly longestFile?: number;
}

/** What waits for targets that are away may fill so much of the disk; then the log begins anew. */
const LIMIT = 256 * 2 ** 20;
/** So far, ms, the clock may go back: what is committed until it has caught up counts as made at the time before. */
const STEP_BACK = 5000;

interface Standing extends LogPosition {
  /** As the database has it. */
  readonly value: string;
  /** Of the last frame, ms. */
  readonly time: number;
}

export class ChangeLog {
  readonly #db: DatabaseSync;
  readonly #options: ChangeLogOptions;
  readonly #random: Random;
  readonly #read: StatementSync;
  readonly #put: StatementSync;
  readonly #swap: StatementSync;
  /** Undefined until a batch has looked where the log stands. */
  #standing: Standing | undefined;
  /** Undefined where it could not be made. */
  #spool: SpoolWriter | undefined;
  #session: Session | undefined;
  #takeBack: (() => void) | undefined;

  constructor(db: DatabaseSync, options: ChangeLogOptions, random: Random) {
    this.#db = db;
    this.#options = options;
    this.#random = random;
    this.#read = db.prepare('select value, updated_at from settings where name = ?');
    this.#put = db.prepare(
      'insert into settings (name, value, updated_at) values (?, ?, ?) on conflict (name) do update set value = excluded.value, updated_at = excluded.updated_at',
    );
    this.#swap = db.prepare('update settings set value = ?, updated_at = ? where name = ? and value = ?');
  }

  /** Within the transaction of a batch, before its first verb. */
  begin(): void {
    this.#session = this.#db.createSession();
  }

  /** After its last verb. @param now ms: not before any of its verbs was asked for, nor after its commit */
  seal(now: number): void {
    const changes = this.#session?.changeset();
    this.#endSession();
    if (changes === undefined || changes.length === 0) return;
    const fault = this.#resume() ?? this.#append(changes, now) ?? this.#checkSize();
    if (fault !== undefined) this.#beginChain(fault, now);
  }

  /** The batch is on disk. */
  committed(): void {
    this.#takeBack = undefined;
  }

  /** Nothing of the batch has happened. */
  undone(): void {
    this.#endSession();
    const takeBack = this.#takeBack;
    this.#takeBack = undefined;
    if (!takeBack) return;
    try {
      takeBack();
    } catch {
      // What lies there is one frame too long, which the next batch finds out.
    }
    this.#forget();
  }

  /** Goes on where the last process has stopped, or says why it cannot. */
  #resume(): string | undefined {
    if (this.#standing) return undefined;
    const value = this.#read.get(POSITION)?.['value'] as string | undefined;
    const position = readPosition(value);
    if (!position || value === undefined) return 'the database had none';
    const { folder, longestFile } = this.#options;
    const found = resumeSpool(folder, {
      position,
      restoreEpoch: this.#identity().restore_epoch,
      shipped: shippedUpTo(folder, position.chain),
      ...(longestFile !== undefined && { longestFile }),
    });
    if ('fault' in found) return found.fault;
    this.#spool = found.spool;
    this.#standing = { ...position, value, time: found.time };
    return undefined;
  }

  #append(changes: Uint8Array, now: number): string | undefined {
    const { chain, batch, value, time } = this.#standing as Standing;
    // Held to the time before, whatever is committed until then would be missing from each moment that is asked for.
    if (time - now > STEP_BACK) return 'the clock went back';
    const next = standingAt({ chain, batch: batch + 1 }, Math.max(now, time));
    // Somebody has ended the chain: a migration, or whoever found a fault in what was shipped.
    if (this.#swap.run(next.value, next.time, POSITION, value).changes !== 1) return 'the last one was ended';
    if (!this.#spool) return 'the spool could not be made';
    try {
      this.#takeBack = this.#spool.append((before) =>
        writeFrame({ batch: next.batch, at: next.time, changes }, before),
      );
    } catch (error) {
      return `the spool could not be written (${messageOf(error)})`;
    }
    this.#standing = next;
    return undefined;
  }

  /** Looked at when a file is full, which is seldom. */
  #checkSize(): string | undefined {
    const { folder, limit = LIMIT } = this.#options;
    if (!this.#spool?.isFileFull || spoolSize(folder) <= limit) return undefined;
    dropSpool(folder);
    return `more than ${limit} bytes waited for the targets`;
  }

  /** The batch in hand is in no chain: the new one begins after it, and needs a backup that is made after it. */
  #beginChain(reason: string, now: number): void {
    const { folder, longestFile } = this.#options;
    const { value, updated_at = 0 } = { ...this.#read.get(POSITION) } as {
      value?: string;
      updated_at?: number;
    };
    const former = [readPosition(value)?.chain, listSpool(folder).at(-1)?.chain];
    const since = updated_at - now > STEP_BACK ? now : Math.max(now, updated_at);
    const newest = Math.max(updated_at, ...former.map((id) => (id === undefined ? 0 : timeIn(id))));
    const chain = chainId(Math.max(now, newest + 1), this.#random);
    this.#forget();
    try {
      this.#spool = beginSpool(
        folder,
        { chain, ...this.#identity(), begun_at: since, since, reason },
        longestFile,
      );
    } catch {
      // The next batch says so, and begins another chain.
    }
    this.#standing = standingAt({ chain, batch: 0 }, since);
    this.#put.run(POSITION, this.#standing.value, since);
    this.#takeBack = () => undefined;
  }

  #identity(): { deployment_id: string; restore_epoch: number; schema_version: number } {
    const { id, restore_epoch } = { ...this.#db.prepare('select id, restore_epoch from deployment').get() };
    const { version } = {
      ...this.#db.prepare('select max(version) as version from schema_migrations').get(),
    };
    return {
      deployment_id: String(id),
      restore_epoch: Number(restore_epoch),
      schema_version: Number(version),
    };
  }

  #endSession(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  /** The next batch looks at the database and at what lies beside it, and trusts only those. */
  #forget(): void {
    this.#spool?.close();
    this.#spool = undefined;
    this.#standing = undefined;
  }
}

/** Ends the chain that a database is in, where there is one: what comes next is not in the log. */
export function endChain(db: DatabaseSync): void {
  const known = db.prepare("select 1 from sqlite_schema where type = 'table' and name = 'settings'").get();
  // Its time stays, so that the next chain sorts after this one.
  if (known) db.prepare('update settings set value = ? where name = ?').run(NO_POSITION, POSITION);
}

function standingAt({ chain, batch }: LogPosition, time: number): Standing {
  return { chain, batch, time, value: JSON.stringify({ chain, batch }) };
}

/** Sorts after those of chains that were begun before that time, ms. */
function chainId(now: number, random: Random): string {
  return makeIds({ now: () => now }, random)
    .next('log')
    .slice('log_'.length);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
