/**
 * ops/drill: rehearsals of a disaster on a copy of the installation. Here is decided what happens to the copy, what has to be
 * true afterwards, and what the report says. How a copy is made, broken and served, and which engine it is on, is handed in.
 */
import type { Clock } from '../../kernel/clock.ts';
import type { Failure } from '../../kernel/errors.ts';

/** A copy of the installation that nobody uses: all of it may be broken. */
export interface Ground extends AsyncDisposable {
  /** Of this machine. */
  readonly clock: Clock;
  /** Whether the private keys of the installation are files. */
  readonly keysAreFiles: boolean;
  /** Whether its commits go into a recovery log that a restore takes them from. */
  readonly isLogged: boolean;
  /** What the copy is not like the original in, as sentences. */
  readonly notes: readonly string[];
  readonly disasters: Disasters;
  readonly recovery: Recovery;
  /**
   * Starts a server on the copy. Failures: those of a server that starts.
   * @param ahead how far its clock is ahead of the machine's, ms
   */
  serve(ahead?: number): Promise<Scene>;
  /** Why no server starts on it; undefined when one does. It is not left running. */
  refusal(): Promise<Refusal | undefined>;
  /** What is found wrong with the database by looking at it alone; empty where nothing is. */
  faults(): Promise<readonly string[]>;
  /** Digests of the tables that a restore has to bring back as they were, by table. No server may run. */
  digests(): Promise<ReadonlyMap<string, string>>;
  /** Ids of the keys whose private halves are files. */
  keyFiles(): Promise<readonly string[]>;
}

export interface Refusal {
  readonly failure: Failure;
  /** How long, ms, it took from opening the keys to the refusal. */
  readonly after: number;
}

/** A server on the copy, until it is disposed of, which ends it in good order. */
export interface Scene extends AsyncDisposable {
  /** The socket that it listens on. */
  readonly socket: string;
  /** Makes a user: a write that was acknowledged. */
  write(): Promise<Written>;
  disable(id: string): Promise<void>;
  enable(id: string): Promise<void>;
  /** Removes these users and all others, `most` at most, each by a call of the admin API; their ids. */
  removeUsers(own: readonly string[], most: number): Promise<readonly string[]>;
  /** Of these ids, who is there, and whether they may sign in. */
  users(ids: readonly string[]): Promise<ReadonlyMap<string, 'active' | 'disabled'>>;
  /** Signs a token, as for an application. */
  sign(): Promise<string>;
  /** Failures: `failed` when anybody who knows the JWK set alone refuses the token. */
  checkToken(jwt: string): Promise<void>;
  /** Somebody signs in, and stays so. */
  visit(): Promise<Visit>;
  /** A client and a person made up for it go through the whole protocol. Failures: `failed`. */
  canary(): Promise<void>;
  /** Resolves once everything that was committed is on the shelf of the recovery log. At once where there is none. */
  shipped(): Promise<void>;
  /** A backup of the copy; with its proof where it is to be verified. Failures: those of `backup create`. */
  backup(options: { readonly verify: boolean }): Promise<MadeBackup>;
  /** What looks after the keys does so, several times over. */
  lookAfterKeys(): Promise<void>;
}

export interface Written {
  readonly id: string;
  /** ms, when it was acknowledged. */
  readonly at: number;
}

/** Somebody who has signed in, with a browser and an application. */
export interface Visit {
  /** Which of their means still work on the server of this socket: the browser's session, the refresh token. */
  goesOn(socket: string): Promise<{ readonly session: boolean; readonly refresh: boolean }>;
}

export interface MadeBackup {
  readonly id: string;
  /** ms: whatever was committed by then is in it. */
  readonly from: number;
}

/** Each of these needs a copy that no server runs on, unless it is handed one. */
export interface Disasters {
  /** The machine is gone while the server runs on it, and with it all but the backups and the recovery sheet. */
  loseHost(scene: Scene): Promise<void>;
  /** The private keys are gone; their ids. */
  loseKeys(): Promise<readonly string[]>;
  /** The database is damaged; what was done to it. */
  damageDatabase(): Promise<string>;
  /** A migration damages rows, then fails half way; what it said. */
  migrateBadly(): Promise<string>;
}

/** The product's own ways back. */
export interface Recovery {
  restore(request: RestoreWish): Promise<Restored>;
  /** Private keys out of a backup, put back in their places; their ids. */
  recoverKeys(backup: string): Promise<readonly string[]>;
  /** Removes old backups, or says why not. */
  prune(scene: Scene): Promise<Pruned>;
}

export interface RestoreWish {
  /** The id of a backup; undefined for the newest, and what the log has after it. */
  readonly backup?: string;
  /** The moment to go back to, ms. */
  readonly to?: number;
  /** Users that were removed since: removed again, or kept, disabled. */
  readonly removals: 'repeat' | 'disable';
}

export interface Restored {
  /** ms: the state is said to be that of then. */
  readonly restoredTo: number;
  /** Sessions that were ended. */
  readonly ended: number;
  /** What the receipt of the restore says besides. */
  readonly notes: readonly string[];
}

export interface Pruned {
  readonly removed: readonly string[];
  /** Why nothing was removed that should be looked at first; null where nothing speaks against it. */
  readonly stopped: string | null;
}
