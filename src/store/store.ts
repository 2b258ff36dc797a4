/**
 * store: keeps what the server must not forget. It owns tables, statements, transactions and engines; it must not know
 * what a token, a page or a command is, and imports nothing but kernel/.
 *
 * One small interface an aggregate. A verb is a unit of work: it happens wholly or not at all, and when its promise
 * resolves, the rows are on disk. Verbs that can lose a race say who won in their answer; they never read first and
 * write later. Every verb may fail with `unavailable` (the database does not answer) and works again once it does. A write
 * that failed so has not happened; only where the connection broke during its commit can nobody know.
 * Inputs are plain data, because on SQLite they travel to the writer thread.
 */
import type { DataKeyStore, PrivateKeyStore, SigningKeyStore } from './key-stores.ts';
import type { Page } from './page.ts';
import type { PurgeableStore, PurgeStore } from './purge-stores.ts';
import type {
  AuditEventRecord,
  AuthCodeRecord,
  AuthorizationRequestRecord,
  ClientRecord,
  ClientSecretRecord,
  ConsentRecord,
  DeploymentRecord,
  InitialAccessTokenRecord,
  IssuanceRecord,
  LeaseRecord,
  PasswordRecord,
  RefreshTokenRecord,
  ResourceRecord,
  SessionRecord,
  SettingRecord,
  TokenFamilyRecord,
  UserRecord,
} from './records.ts';
import type { AftercareStore, ReinstateStore, RevocationStore, TakeAwayStore } from './recovery-stores.ts';

export type { DataKeyStore, PrivateKeyStore, SigningKeyStore } from './key-stores.ts';
export type { Page } from './page.ts';
export type {
  PurgeableRows,
  PurgeableStore,
  PurgeLook,
  PurgePlace,
  PurgeStep,
  PurgeStore,
  PurgeWindow,
} from './purge-stores.ts';
export type {
  AftercareStore,
  FormerClient,
  FormerUser,
  HeldBack,
  Outlook,
  ReinstateStore,
  RevocationStore,
  TakeAway,
  TakeAwayStore,
} from './recovery-stores.ts';

export interface DeploymentStore {
  /** This installation's identity, made with the first migration. */
  get(input: Record<string, never>): Promise<DeploymentRecord>;
}

export interface UserStore {
  /** Adds a user and, unless null, the password. */
  create(input: {
    user: UserRecord;
    password_hash: string | null;
  }): Promise<{ outcome: 'created' | 'taken' }>;
  find(input: { id: string }): Promise<UserRecord | undefined>;
  /** By user name or, where it is verified or not, e-mail address; both are unique. */
  findByLogin(input: { login: string }): Promise<(UserRecord & { password_hash: string | null }) | undefined>;
  list(input: Page): Promise<UserRecord[]>;
  update(input: { user: UserRecord }): Promise<{ outcome: 'updated' | 'taken' | 'unknown' }>;
  /** Sets the password and ends what the old one opened: every session and every token family. */
  setPassword(input: PasswordRecord): Promise<{ outcome: 'set' | 'unknown' }>;
  /** Replaces a hash by a stronger one of the same password; touches nothing else. */
  rehashPassword(input: { user_id: string; old_hash: string; new_hash: string }): Promise<void>;
  /** Disables (or enables again); disabling ends sessions and token families in the same unit of work. */
  setStatus(input: {
    id: string;
    status: UserRecord['status'];
    now: number;
  }): Promise<{ outcome: 'set' | 'unknown' }>;
  /** Removes the user with all that hangs on them. */
  remove(input: { id: string; now: number }): Promise<{ outcome: 'removed' | 'unknown' }>;
}

export interface SessionStore {
  /**
   * Starts a session. `refused`: the user is not active (any more), or has another password than the one with
   * `password_hash` (null where something else was proven). `replaces`, a token hash, ends the browser's former session,
   * live or not, in the same unit of work: its token families pass to the new session of the same user; where somebody
   * else signs in, those without offline access end.
   */
  start(input: {
    session: SessionRecord;
    password_hash: string | null;
    replaces: string | null;
  }): Promise<{ outcome: 'started' | 'refused' }>;
  /** A live session of an active user. */
  find(input: {
    token_hash: string;
    now: number;
  }): Promise<(SessionRecord & { username: string }) | undefined>;
  /** Moves the idle end; never past the absolute end, and wakes no session that is over at `last_seen_at`. */
  touch(input: { id: string; last_seen_at: number; expires_at: number }): Promise<void>;
  /** Live sessions of a user, newest first. */
  listOfUser(input: { user_id: string; now: number }): Promise<SessionRecord[]>;
  /** Ends a session of this user, and the token families born from it that did not ask for offline access. */
  end(input: { id: string; user_id: string; now: number }): Promise<{ outcome: 'ended' | 'unknown' }>;
  /** Ends all sessions of a user and their token families, except one session where given. */
  endAll(input: { user_id: string; except: string | null; now: number }): Promise<{ ended: number }>;
}

export type ClientWithSecrets = ClientRecord & { readonly secrets: readonly ClientSecretRecord[] };

export interface ClientStore {
  create(input: {
    client: ClientRecord;
    secret: ClientSecretRecord | null;
  }): Promise<{ outcome: 'created' | 'taken' }>;
  find(input: { id: string }): Promise<ClientWithSecrets | undefined>;
  list(input: Page): Promise<ClientRecord[]>;
  /** Replaces the metadata; what the client may do at all (status, registration token, source) stays as it is. */
  update(input: { client: ClientRecord }): Promise<{ outcome: 'updated' | 'unknown' }>;
  /** Disables (or enables again); nothing of a disabled client is in force. */
  setStatus(input: {
    id: string;
    status: ClientRecord['status'];
    now: number;
  }): Promise<{ outcome: 'set' | 'unknown' }>;
  /** Adds a secret; the former ones end at `former_expire_at` (or stay, where they end sooner). */
  addSecret(input: {
    secret: ClientSecretRecord;
    former_expire_at: number;
  }): Promise<{ outcome: 'added' | 'unknown' }>;
  /** Removes the client with its secrets, consents, codes and tokens. */
  remove(input: { id: string; now: number }): Promise<{ outcome: 'removed' | 'unknown' }>;
}

export interface ResourceStore {
  create(input: { resource: ResourceRecord }): Promise<{ outcome: 'created' | 'taken' }>;
  findByUri(input: { uri: string }): Promise<ResourceRecord | undefined>;
  /** All of them: they are few, and metadata lists them. */
  list(input: Record<string, never>): Promise<ResourceRecord[]>;
  update(input: { resource: ResourceRecord }): Promise<{ outcome: 'updated' | 'unknown' }>;
  remove(input: { id: string; now: number }): Promise<{ outcome: 'removed' | 'unknown' }>;
}

export interface ConsentStore {
  /** Replaces the scope that a user allowed a client at each resource. */
  save(input: { consents: ConsentRecord[] }): Promise<void>;
  find(input: { user_id: string; client_id: string }): Promise<ConsentRecord[]>;
  listOfUser(input: { user_id: string }): Promise<ConsentRecord[]>;
  /** Withdraws consent and revokes every token family and unredeemed code of this user with this client. */
  withdraw(input: {
    user_id: string;
    client_id: string;
    now: number;
  }): Promise<{ outcome: 'withdrawn' | 'unknown' }>;
}

export interface AuthorizationRequestStore {
  /** Keeps a request, and forgets a few that have expired. */
  save(input: { request: AuthorizationRequestRecord }): Promise<void>;
  find(input: { id: string; now: number }): Promise<AuthorizationRequestRecord | undefined>;
  update(input: {
    id: string;
    request_json: string;
    now: number;
  }): Promise<{ outcome: 'updated' | 'unknown' }>;
  remove(input: { id: string }): Promise<void>;
}

/** What a code buys besides the family: the access token's row, and the first refresh token where there is one. */
export interface IssuedTokens {
  readonly issuance: IssuanceRecord;
  readonly refresh: RefreshTokenRecord | null;
}

export interface CodeStore {
  /**
   * Keeps a code and closes the stored request it came from (where there was one): the two happen together, and once.
   * `gone`: the request has been answered already; there is no code.
   */
  issue(input: { code: AuthCodeRecord; request_id: string | null }): Promise<{ outcome: 'issued' | 'gone' }>;
  find(input: { code_hash: string }): Promise<AuthCodeRecord | undefined>;
  /**
   * Spends the code and records what it bought. Exactly one caller ever gets `redeemed`. `replayed` has revoked the family
   * that the first use founded (RFC 6749 section 4.1.2); so call this only once the caller is proven to be the code's holder.
   * `void`: the user, the client or the session behind the code is gone. The code is spent and bought nothing, for good: a
   * user who is enabled again later must not find that an old code still works.
   */
  redeem(input: {
    code_hash: string;
    now: number;
    family: TokenFamilyRecord;
    tokens: IssuedTokens;
  }): Promise<{ outcome: 'redeemed' | 'replayed' | 'expired' | 'void' | 'unknown' }>;
}

export type RotateAnswer =
  | { readonly outcome: 'rotated' }
  /** The same holder asked again within the retry window: here is the salt of the successor it was promised. */
  | { readonly outcome: 'retried'; readonly successor_salt: string }
  /** A spent token came back: the family is now revoked. */
  | { readonly outcome: 'reused' }
  | { readonly outcome: 'expired' | 'revoked' | 'unknown' };

export interface RefreshStore {
  /** A refresh token with its family, live or not; the caller decides nothing from it that `rotate` does not check again. */
  find(input: {
    token_hash: string;
  }): Promise<{ token: RefreshTokenRecord; family: TokenFamilyRecord } | undefined>;
  /**
   * Spends a refresh token, records its successor and the new access token. Exactly one caller ever gets `rotated`.
   * A repeat within `retry_window` ms whose successor is still unspent gets `retried` (and its access token recorded);
   * any later repeat is reuse and revokes the family (RFC 9700 section 4.14.2).
   * `successor.expires_at` is cut to the family's absolute end, from which on every answer but `revoked` is `expired`.
   */
  rotate(input: {
    token_hash: string;
    now: number;
    retry_window: number;
    successor_salt: string;
    successor: RefreshTokenRecord;
    issuance: IssuanceRecord;
  }): Promise<RotateAnswer>;
}

export interface FamilyStore {
  find(input: { id: string }): Promise<TokenFamilyRecord | undefined>;
  revoke(input: { id: string; now: number; reason: string }): Promise<{ outcome: 'revoked' | 'unknown' }>;
  /** Live families of a user, for the account page and the administrator. */
  listOfUser(input: { user_id: string; now: number }): Promise<TokenFamilyRecord[]>;
}

export interface IssuanceStore {
  /** Records an access token that belongs to no family (client credentials). */
  record(input: { issuance: IssuanceRecord }): Promise<void>;
  /**
   * The token's row if it is live: not expired, not revoked, its family (to its end), client and user still in force, and
   * the client not a later one that was given the same id.
   */
  findLive(input: { jti: string; now: number }): Promise<IssuanceRecord | undefined>;
  revoke(input: { jti: string; now: number }): Promise<{ outcome: 'revoked' | 'unknown' }>;
}

export interface RegistrationStore {
  saveInitialToken(input: { token: InitialAccessTokenRecord }): Promise<void>;
  /** Adds a client and takes one use off the initial access token in one unit of work. */
  register(input: {
    client: ClientRecord;
    secret: ClientSecretRecord | null;
    initial_token_hash: string | null;
    now: number;
  }): Promise<{ outcome: 'registered' | 'token_spent' }>;
  findInitialToken(input: { token_hash: string; now: number }): Promise<InitialAccessTokenRecord | undefined>;
}

export interface ReplayStore {
  /**
   * True for the first caller with this id, false for every other until it expires (RFC 7523 section 3, `jti`). Forgets a
   * few that have expired.
   */
  consume(input: { id: string; expires_at: number; now: number }): Promise<{ first: boolean }>;
}

export interface LoginFailureStore {
  /**
   * Counts a failure under each id; locks an id whose count within its window reached `limit`. Answers the longest lock.
   * Forgets a few counts that have expired.
   */
  count(input: {
    ids: { id: string; limit: number }[];
    now: number;
    window: number;
    lockout: number;
  }): Promise<{ locked_until: number | null }>;
  /** The longest lock that is in force under these ids. */
  lockedUntil(input: { ids: string[]; now: number }): Promise<number | null>;
  clear(input: { ids: string[] }): Promise<void>;
}

export interface AuditStore {
  /** Appends to the hash chain (audit-chain.ts says what is hashed). */
  append(input: {
    event: Omit<AuditEventRecord, 'sequence' | 'previous_hash' | 'hash'>;
  }): Promise<{ sequence: number }>;
  /** Events in chain order after a sequence number, at most `limit`. */
  list(input: { after: number; limit: number }): Promise<AuditEventRecord[]>;
  /** The link before the first event that is kept: where a chain whose old events were purged begins, and nowhere else. */
  beginning(input: Record<string, never>): Promise<AuditLink>;
}

/** A place in the audit chain: an event's position and hash. */
export interface AuditLink {
  readonly sequence: number;
  readonly hash: string;
}

export interface SettingStore {
  get(input: { name: string }): Promise<SettingRecord | undefined>;
  /** Sets a value; with `if_absent` only where none is. Answers the value now in force. */
  put(input: {
    setting: SettingRecord;
    if_absent: boolean;
  }): Promise<{ outcome: 'put' | 'kept'; value: string }>;
  /** Replaces a value that is still what the caller has read (`former`). */
  swap(input: { setting: SettingRecord; former: string }): Promise<{ outcome: 'swapped' | 'changed' }>;
  /** Sets a value because what the former one opened must not be opened by it any more. */
  rotate(input: { setting: SettingRecord }): Promise<void>;
}

export interface LeaseStore {
  /** Takes a lease that nobody has, or whose holder has let it run out. `held`: by whom, unless they have just let go. */
  acquire(input: {
    lease: LeaseRecord;
  }): Promise<{ outcome: 'acquired' } | { outcome: 'held'; by: LeaseRecord | undefined }>;
  find(input: { name: string }): Promise<LeaseRecord | undefined>;
  /** Moves the end on. `lost`: another has it, because it had run out. */
  renew(input: {
    name: string;
    holder: string;
    held_until: number;
  }): Promise<{ outcome: 'renewed' | 'lost' }>;
  /** Lets go; nothing happens when another has it. */
  release(input: { name: string; holder: string }): Promise<void>;
}

export interface HealthStore {
  /** Asks the database something trivial by the way that writes go. Fails when writes would fail. */
  ping(input: Record<string, never>): Promise<{ ok: true }>;
}

/** Every aggregate. */
export interface Aggregates {
  readonly deployment: DeploymentStore;
  readonly users: UserStore;
  readonly sessions: SessionStore;
  readonly clients: ClientStore;
  readonly resources: ResourceStore;
  readonly consents: ConsentStore;
  readonly requests: AuthorizationRequestStore;
  readonly codes: CodeStore;
  readonly refresh: RefreshStore;
  readonly families: FamilyStore;
  readonly issuances: IssuanceStore;
  readonly registrations: RegistrationStore;
  readonly replays: ReplayStore;
  readonly keys: SigningKeyStore;
  readonly dataKeys: DataKeyStore;
  readonly privateKeys: PrivateKeyStore;
  readonly loginFailures: LoginFailureStore;
  readonly audit: AuditStore;
  readonly settings: SettingStore;
  readonly leases: LeaseStore;
  readonly revocations: RevocationStore;
  readonly takeAway: TakeAwayStore;
  readonly aftercare: AftercareStore;
  readonly reinstate: ReinstateStore;
  readonly purge: PurgeStore;
  readonly purgeable: PurgeableStore;
  readonly health: HealthStore;
}

/** What somebody may want to hear of at once when another process changes it. */
export type Topic = 'signing_keys';

export interface Store extends Aggregates {
  /**
   * Calls the listener after each change of the topic that is on disk, whichever process made it, and whenever such news may
   * have been missed. On SQLite there is no other process that writes. News may be lost for a while: look now and then too.
   */
  watch(topic: Topic, listener: () => void): Disposable;
  /** Finishes what was accepted, then closes. */
  close(): Promise<void>;
}
