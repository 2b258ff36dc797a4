/** What the making of an archive consists of, wherever it is done: in a thread of its own, so that nobody waits for it. */
import type { Encryption } from '../../archive/age.ts';
import type { ArchiveTail, Written } from '../../archive/writer.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { DataKeyRecord, PrivateKeyRecord, SigningKeyRecord } from '../../store/records.ts';

export interface PackRequest {
  readonly id: string;
  readonly sequence: number;
  readonly deploymentId: string;
  /** ms */
  readonly madeAt: number;
  readonly tags: readonly string[];
  readonly encryption: Encryption;
  /** Where the archive is put together; it does not exist yet. */
  readonly file: string;
}

/** The rows that need keys, as they are in the snapshot. */
export interface KeyRows {
  readonly signingKeys: readonly Pick<SigningKeyRecord, 'kid' | 'state' | 'key_store' | 'public_jwk_json'>[];
  readonly dataKeys: readonly Pick<DataKeyRecord, 'id' | 'master_key_id'>[];
  readonly privateKeys: readonly Pick<PrivateKeyRecord, 'kid' | 'data_key_id'>[];
}

export interface PackProgress {
  readonly rows: number;
  /** Of the snapshot, all tables together. */
  readonly of: number;
  /** Of the tar. */
  readonly bytes: number;
}

/** What is asked of whoever has an archive made. */
export interface PackAsks {
  /** The moment of the snapshot has just been fixed. */
  begun(): void;
  /** All rows have been read. What it throws ends the work. */
  tail(rows: KeyRows): Promise<ArchiveTail>;
}

/**
 * Writes an archive of the database to a file.
 * Failures: `refused`, `unavailable` (also for a full disk), `interrupted`; the file may be there and is of no use then.
 */
export type Packer = (request: PackRequest, asks: PackAsks, watch: Watch<PackProgress>) => Promise<Written>;
