/** Where files of backups lie: a folder or a bucket. It knows names and bytes; what they mean is target.ts's affair. */

export interface ShelfFile {
  readonly name: string;
  readonly size: number;
  /** ms, by the clock of the shelf. */
  readonly modifiedAt: number;
}

export interface ShelfWrite {
  readonly signal?: AbortSignal | undefined;
  /** It must not go before its time: where the shelf has locks, it gets one. */
  readonly locks?: boolean;
}

/** What it is, for people and for a listing. */
export interface ShelfDescription {
  readonly kind: 'file' | 's3';
  /** Where it is, as an operator would write it. */
  readonly place: string;
  readonly region?: string;
  readonly storageClass?: string;
  readonly lock?: { readonly mode: 'governance' | 'compliance'; readonly retention: number };
}

/** Failures of all: `unavailable` when trying again may help, `configuration` when it will not, `interrupted`. */
export interface Shelf {
  describe(): ShelfDescription;
  /**
   * The file is there whole and durably when this resolves, in place of any of its name before; otherwise it is not there
   * at all. What the source throws is thrown.
   */
  write(name: string, source: AsyncIterable<Uint8Array>, options?: ShelfWrite): Promise<void>;
  /** Failures besides: `not_found`. */
  read(name: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Whole files in the order of the bytes of their names. @param after only names that come after this text */
  list(after: string, signal?: AbortSignal): AsyncIterable<ShelfFile>;
  /** Nothing happens when it is not there. */
  remove(name: string): Promise<void>;
  /** Takes away what writes that were killed before that time (ms) have left, and says what it was. */
  sweep(before: number): Promise<string[]>;
  /** Tries to delete a file that is locked: `holds` when that is refused, `open` when it is not, `none` without locks. */
  proveLock(): Promise<LockProof>;
}

export type LockProof = 'none' | 'holds' | 'open';
