/**
 * A target: what backups there are on a shelf. A backup is up to four files that begin with its id:
 * the archive, then the signed record of it, which makes it count; later perhaps the signed proof of its verification and
 * a signed pin. An archive without a record is what a killed run has left, and is never listed.
 */
import { createHash } from 'node:crypto';
import { Failure } from '../../kernel/errors.ts';
import { isBackupId } from '../backup-id.ts';
import { damaged } from '../format.ts';
import type { LockProof, Shelf, ShelfDescription, ShelfFile } from './shelf.ts';

/** A file as its record names it. */
export interface ArchiveFile {
  readonly name: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface Publication {
  readonly id: string;
  readonly isEncrypted: boolean;
  readonly archive: AsyncIterable<Uint8Array>;
  /** The signed record, made when the archive is there. What it throws leaves nothing behind. */
  readonly record: (file: ArchiveFile) => Promise<Uint8Array>;
  readonly signal?: AbortSignal;
}

/** What may be said of a backup after it was made; saying it again replaces what was said before. */
export type Mark = 'verified' | 'pinned';

/** What a target holds of one backup, as it is there: nothing of it has been checked. */
export interface Holding {
  readonly target: string;
  readonly id: string;
  readonly record: Buffer;
  /** Undefined when the file that the record is about is gone. */
  readonly archive: { readonly name: string; readonly size: number } | undefined;
  readonly verified: Buffer | undefined;
  readonly pinned: Buffer | undefined;
}

export interface TargetDescription extends ShelfDescription {
  readonly name: string;
}

/** Failures: those of a Shelf. */
export interface Target {
  readonly name: string;
  describe(): TargetDescription;
  /** The backup is there and listed when this resolves; otherwise it is not. */
  put(publication: Publication): Promise<ArchiveFile>;
  mark(id: string, mark: Mark, signed: Uint8Array): Promise<void>;
  /** By id, so by sequence. @param options.after go on after this id */
  list(options?: { after?: string; signal?: AbortSignal }): AsyncIterable<Holding>;
  /** One of them, without a look at the others. Failures besides: `not_found`. */
  find(id: string): Promise<Holding>;
  /** Failures besides: `not_found`. */
  open(holding: Holding, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The record goes first, so that what is half removed is not listed. */
  remove(id: string): Promise<void>;
  /** Takes away what was left more than a day before now (ms) by runs that were killed, and says what it was. */
  sweep(now: number): Promise<string[]>;
  /** Whether what is locked stays, found out by trying. */
  proveLock(): Promise<LockProof>;
}

const RECORD = 'manifest.ndjson';
const FILE = /^(?<id>[^.]+)\.(?<kind>tar\.zst(?:\.age)?|manifest\.ndjson|verified\.ndjson|pinned\.ndjson)$/;
/** Comes after the names of all files of the id before it, and before those of any later id. */
const AFTER_ALL = '/';
/** Comes after the names of all backups, which begin with digits, and before those of the recovery log, which are many. */
const AFTER_BACKUPS = ':';
const DAY = 24 * 60 * 60 * 1000;
const LONGEST_RECORD = 1024 * 1024;
/** So many backups are looked at together: on a bucket each look takes its time. */
const TOGETHER = 16;

export function makeTarget(name: string, shelf: Shelf): Target {
  return new ShelfTarget(name, shelf);
}

class ShelfTarget implements Target {
  readonly name: string;
  readonly #shelf: Shelf;

  constructor(name: string, shelf: Shelf) {
    this.name = name;
    this.#shelf = shelf;
  }

  describe(): TargetDescription {
    return { name: this.name, ...this.#shelf.describe() };
  }

  async put({ id, isEncrypted, archive, record, signal }: Publication): Promise<ArchiveFile> {
    checkId(id);
    const name = `${id}.${isEncrypted ? 'tar.zst.age' : 'tar.zst'}`;
    const tally = new Tally(archive);
    await this.#shelf.write(name, tally.bytes(), { signal, locks: true });
    const file = tally.file(name);
    try {
      const signed = await record(file);
      await this.#shelf.write(`${id}.${RECORD}`, once(signed), { signal, locks: true });
    } catch (error) {
      // Where the server may not delete, it is swept by whoever may.
      await this.#withdraw(id, name).catch(() => undefined);
      throw error;
    }
    return file;
  }

  async mark(id: string, mark: Mark, signed: Uint8Array): Promise<void> {
    checkId(id);
    await this.#shelf.write(`${id}.${mark}.ndjson`, once(signed));
  }

  async *list({
    after,
    signal,
  }: {
    after?: string;
    signal?: AbortSignal;
  } = {}): AsyncGenerator<Holding, void> {
    let batch: ShelfFile[][] = [];
    for await (const files of this.#backups(after, signal)) {
      batch.push(files);
      if (batch.length < TOGETHER) continue;
      yield* await this.#holdAll(batch);
      batch = [];
    }
    yield* await this.#holdAll(batch);
  }

  async find(id: string): Promise<Holding> {
    checkId(id);
    for await (const files of this.#filesFrom(id)) {
      if (!files.some(({ name }) => name === `${id}.${RECORD}`)) break;
      for (const holding of await this.#holdAll([files])) return holding;
    }
    throw new Failure('not_found', `There is no backup ${id} on target ${this.name}.`, {
      hint: '`authserver backup list` shows what there is.',
    });
  }

  async *open({ id, archive }: Holding, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    if (!archive)
      throw new Failure('not_found', `The archive of backup ${id} is gone from target ${this.name}.`);
    yield* this.#shelf.read(archive.name, signal);
  }

  async remove(id: string): Promise<void> {
    checkId(id);
    for await (const files of this.#filesFrom(id)) {
      const names = files.map(({ name }) => name).filter((name) => name.startsWith(`${id}.`));
      const recordsFirst = names.sort((a, b) => Number(b.endsWith(RECORD)) - Number(a.endsWith(RECORD)));
      for (const name of recordsFirst) await this.#shelf.remove(name);
      return;
    }
  }

  async sweep(now: number): Promise<string[]> {
    const swept = await this.#shelf.sweep(now - DAY);
    for await (const files of this.#backups(undefined)) {
      const isOld = files.every(({ modifiedAt }) => modifiedAt < now - DAY);
      if (!isOld || files.some(({ name }) => name.endsWith(RECORD))) continue;
      for (const { name } of files) {
        await this.#shelf.remove(name);
        swept.push(name);
      }
    }
    return swept;
  }

  proveLock(): Promise<LockProof> {
    return this.#shelf.proveLock();
  }

  /** The record may be there all the same, when only the answer was lost: what it speaks of goes after it. */
  async #withdraw(id: string, archive: string): Promise<void> {
    await this.#shelf.remove(`${id}.${RECORD}`);
    await this.#shelf.remove(archive);
  }

  /** The files of each backup, or of what was to become one, together. */
  async *#backups(after: string | undefined, signal?: AbortSignal): AsyncGenerator<ShelfFile[], void> {
    yield* grouped(this.#shelf.list(after === undefined ? '' : `${after}${AFTER_ALL}`, signal));
  }

  /** As `#backups`, beginning with this id; the first may be another when there are none of it. */
  async *#filesFrom(id: string): AsyncGenerator<ShelfFile[], void> {
    yield* grouped(this.#shelf.list(`${id}.`));
  }

  async #holdAll(backups: readonly ShelfFile[][]): Promise<Holding[]> {
    const held = await Promise.all(backups.map((files) => this.#hold(files)));
    return held.filter((holding) => holding !== undefined);
  }

  /** Undefined when it was removed since it was listed. */
  async #hold(files: readonly ShelfFile[]): Promise<Holding | undefined> {
    const ending = (text: string) => files.find(({ name }) => name.endsWith(text));
    const [record, verified, pinned] = await Promise.all(
      [RECORD, 'verified.ndjson', 'pinned.ndjson'].map((text) => this.#readRecord(ending(text))),
    );
    if (!record) return undefined;
    const archive = ending('.tar.zst.age') ?? ending('.tar.zst');
    return {
      target: this.name,
      id: idOf(files[0]),
      record,
      archive: archive && { name: archive.name, size: archive.size },
      verified,
      pinned,
    };
  }

  async #readRecord(file: ShelfFile | undefined): Promise<Buffer | undefined> {
    if (!file) return undefined;
    const { name, size } = file;
    // Somebody has put it there to keep us busy; it is listed as what it is, not signed.
    if (size > LONGEST_RECORD) return Buffer.alloc(0);
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of this.#shelf.read(name)) pieces.push(piece);
    } catch (error) {
      if (error instanceof Failure && error.code === 'not_found') return undefined;
      throw error;
    }
    return Buffer.concat(pieces);
  }
}

/**
 * Copies a backup from one target to another, byte for byte; the copy counts only when its bytes are those of the record.
 * The proof of its verification is not copied: it is about the other file.
 */
export async function copyBackup(
  from: Target,
  to: Target,
  id: string,
  signal?: AbortSignal,
): Promise<ArchiveFile> {
  const holding = await from.find(id);
  const record = async (file: ArchiveFile) => {
    if (!holding.record.includes(`"sha256":"${file.sha256}"`)) {
      throw damaged(file.name, 'what was read is not what its record says');
    }
    return holding.record;
  };
  const isEncrypted = holding.archive?.name.endsWith('.age') ?? false;
  const archive = from.open(holding, signal);
  return to.put({ id, isEncrypted, archive, record, ...(signal && { signal }) });
}

/** Passes bytes on and keeps count of them. */
class Tally {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #digest = createHash('sha256');
  #size = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source;
  }

  async *bytes(): AsyncGenerator<Uint8Array, void> {
    for await (const bytes of this.#source) {
      this.#size += bytes.length;
      this.#digest.update(bytes);
      yield bytes;
    }
  }

  file(name: string): ArchiveFile {
    return { name, size: this.#size, sha256: this.#digest.digest('hex') };
  }
}

async function* grouped(files: AsyncIterable<ShelfFile>): AsyncGenerator<ShelfFile[], void> {
  let group: ShelfFile[] = [];
  for await (const file of files) {
    if (file.name >= AFTER_BACKUPS) break;
    if (!isBackupId(idOf(file))) continue;
    if (group.length > 0 && idOf(group[0]) !== idOf(file)) {
      yield group;
      group = [];
    }
    group.push(file);
  }
  if (group.length > 0) yield group;
}

/** Empty when the file is none of a backup. */
function idOf(file: ShelfFile | undefined): string {
  return FILE.exec(file?.name ?? '')?.groups?.['id'] ?? '';
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

function checkId(id: string): void {
  if (isBackupId(id)) return;
  throw new Failure('invalid_input', `"${id}" is not the id of a backup.`, {
    hint: '`authserver backup list` shows the ids.',
  });
}
