/** The aggregates of keys: those that sign, those that seal, and the private halves. */
import type { Page } from './page.ts';
import type { DataKeyRecord, PrivateKeyRecord, SigningKeyRecord } from './records.ts';

export interface SigningKeyStore {
  list(input: Record<string, never>): Promise<SigningKeyRecord[]>;
  /** Adds the very first key; `taken` when some key was ever made here. */
  addFirst(input: { key: SigningKeyRecord }): Promise<{ outcome: 'added' | 'taken' }>;
  /** Publishes a key that will sign later; `taken` when one is waiting already. */
  addPending(input: { key: SigningKeyRecord }): Promise<{ outcome: 'added' | 'taken' }>;
  /**
   * The pending key takes over. The active one verifies until `retires_at`, or `margin` ms after the last access token
   * that it is known to have signed, whichever is later. One winner among many callers.
   */
  activate(input: {
    kid: string;
    now: number;
    retires_at: number;
    margin: number;
  }): Promise<{ outcome: 'activated' | 'unknown' }>;
  /** Retiring keys whose time has come verify no longer. */
  retireDue(input: { now: number }): Promise<{ retired: number }>;
  /** Withdraws the pending key, or retires a retiring one before its time. `changed`: it is in another state by now. */
  retire(input: {
    kid: string;
    from: 'pending' | 'retiring';
    now: number;
  }): Promise<{ outcome: 'retired' | 'changed' }>;
  /** Drops a key that does not sign, for good. `changed`: it signs, has been dropped, or is not known. */
  compromise(input: { kid: string; now: number }): Promise<{ outcome: 'compromised' | 'changed' }>;
  /**
   * `successor`, the pending key or a new one, signs at once, because the active key (`former`, null where there is none)
   * cannot or must not. That one is dropped, or verifies on as after `activate`. `changed`: another key is active by now, or
   * the successor is something else; nothing has happened.
   */
  takeOver(input: {
    former: string | null;
    becomes: 'retiring' | 'compromised';
    successor: SigningKeyRecord;
    now: number;
    retires_at: number;
    margin: number;
  }): Promise<{ outcome: 'taken_over' | 'changed' }>;
  /**
   * Counts access tokens in force that a key has signed, among about `limit` that run out after `after` (ms): go on after
   * `next` until that is null.
   */
  countSigned(input: {
    kid: string;
    after: number;
    limit: number;
  }): Promise<{ count: number; last_expires_at: number | null; next: number | null }>;
  /** Revokes the tokens that `countSigned` counts. */
  revokeSigned(input: {
    kid: string;
    now: number;
    after: number;
    limit: number;
  }): Promise<{ count: number; next: number | null }>;
  /** Whether there is a record of any access token, in force or not. */
  hasSigned(input: Record<string, never>): Promise<boolean>;
  /** The longest lifetime, ms, that a client or a resource of its own may ask for access tokens; 0 for none. */
  longestTokenLifetime(input: Record<string, never>): Promise<number>;
}

/** Keys that seal rows. They are few. */
export interface DataKeyStore {
  /** The newest first: that one seals, the others only open. */
  list(input: Record<string, never>): Promise<DataKeyRecord[]>;
  /** Adds a key after the newest one that the caller knows of (null: none); `outdated` when there is another by now. */
  add(input: { key: DataKeyRecord; newest: string | null }): Promise<{ outcome: 'added' | 'outdated' }>;
  /** Wraps a key by another master key, unless `wrapped` is no longer what the caller has read (`former`). */
  rewrap(input: {
    id: string;
    former: string;
    wrapped: string;
    master_key_id: string;
    now: number;
  }): Promise<{ outcome: 'rewrapped' | 'changed' }>;
  /** Removes a key under which nothing is sealed. */
  removeUnused(input: { id: string }): Promise<{ outcome: 'removed' | 'used' }>;
  /** Removes all keys that a master key wraps, and what is sealed under them. */
  abandon(input: { master_key_id: string }): Promise<{ data_keys: number; rows: number }>;
}

/** Private halves of signing keys that are kept in the database, and the note of where each private half is. */
export interface PrivateKeyStore {
  /** Keeps a private half, or seals the one that is kept anew. `no_data_key`: the data key has been removed meanwhile. */
  save(input: { key: PrivateKeyRecord }): Promise<{ outcome: 'saved' | 'no_data_key' }>;
  find(input: { kid: string }): Promise<PrivateKeyRecord | undefined>;
  list(input: Page): Promise<PrivateKeyRecord[]>;
  /** How many are sealed under each data key. */
  count(input: Record<string, never>): Promise<{ data_key_id: string; rows: number }[]>;
  /** Replaces what is sealed, unless it is no longer what the caller has read (`former`). */
  reseal(input: {
    kid: string;
    former: string;
    sealed: string;
    data_key_id: string;
  }): Promise<{ outcome: 'resealed' | 'changed' }>;
  remove(input: { kid: string }): Promise<void>;
  /** From now on the private half of a signing key is in another key store; `changed` when it was not in `from`. */
  relocate(input: { kid: string; from: string; to: string }): Promise<{ outcome: 'relocated' | 'changed' }>;
}
