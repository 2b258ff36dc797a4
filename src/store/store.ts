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
import type {
  AuditEventRecord,
  AuthCodeRecord,
  AuthorizationRequestRecord,
  ClientRecord,
  ClientSecretRecord,
  ConsentRecord,
  DataKeyRecord,
  DeploymentRecord,
  InitialAccessTokenRecord,
  IssuanceRecord,
  LeaseRecord,
  PasswordRecord,
  PrivateKeyRecord,
  RefreshTokenRecord,
  ResourceRecord,
  Revocation,
  RevocationKind,
  SessionRecord,
  SettingRecord,
  SigningKeyRecord,
  TokenFamilyRecord,
  UserRecord,
} from './records.ts';

/** One page of a list in id order: rows after `after`, at most `limit`. */
export interface Page {
  readonly after: string;
  readonly limit: number;
}

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
  remove(input: { id: string }): Promise<{ outcome: 'removed' | 'unknown' }>;
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

/** Access that was taken away: every verb that takes some away writes a row of these in its own unit of work. */
export interface RevocationStore {
  /** In the order in which they were written, those after an id; who goes on after the last one misses none. */
  list(input: Page): Promise<Revocation[]>;
  /** Keeps revocations that happened elsewhere, for a restore to replay; those that are here already stay as they are. */
  receive(input: { revocations: readonly Revocation[]; restored_at: number }): Promise<{ received: number }>;
  /** Those that a restore has received and not replayed yet. */
  listReceived(input: Page & { restored_at: number }): Promise<Revocation[]>;
  /** How many a restore has replayed, by kind. */
  countReplayed(input: { restored_at: number }): Promise<{ kind: RevocationKind; count: number }[]>;
}

/** Takes away once more what a received revocation took, and only that; done again it changes nothing. */
export type TakeAwayStore = {
  readonly [Kind in RevocationKind]: (input: TakeAway) => Promise<void>;
};

export interface TakeAway {
  readonly revocation: Revocation;
  /** The restore that received it. */
  readonly restored_at: number;
  readonly now: number;
}

/** What makes a restored database, which serves nobody yet, safe to serve. */
export interface AftercareStore {
  /**
   * Begins a restore epoch, `least_epoch` or a later one, and keeps when (`restore.at`). A restore, which is known by its
   * time, begins one epoch however often it asks.
   */
  begin(input: { now: number; least_epoch: number }): Promise<{ epoch: number }>;
  /** Moves the restore epoch on to this one, where it is not there yet. */
  raiseEpoch(input: { least_epoch: number }): Promise<{ epoch: number }>;
  /** Takes away what works once and may have been used since, and leases, whose holders are gone. Rows by table. */
  voidOnce(input: Record<string, never>): Promise<Record<string, number>>;
  /** Ends the live sessions among `limit` that follow an id; go on after `next` until that is null. */
  endSessions(input: Page & { now: number }): Promise<{ changed: number; next: string | null }>;
  /** Revokes the live token families among `limit` that follow an id; go on after `next` until that is null. */
  revokeFamilies(input: Page & { now: number }): Promise<{ changed: number; next: string | null }>;
  /** Where no key is active, the pending one is from now on; null when nothing changed. */
  promoteKey(input: { now: number }): Promise<{ kid: string | null }>;
  /** Active users without a password because the restore replayed its change, in id order. */
  listWithoutPassword(input: { restored_at: number; limit: number }): Promise<string[]>;
  /** Active clients without a lasting secret because the restore replayed its rotation, in id order. */
  listWithoutSecret(input: { restored_at: number; limit: number }): Promise<string[]>;
}

/** A user as a backup has it, with the password. */
export interface FormerUser {
  readonly user: UserRecord;
  readonly password: PasswordRecord | null;
}

/** A client as a backup has it. */
export interface FormerClient {
  readonly client: ClientRecord;
  readonly secrets: readonly ClientSecretRecord[];
}

/** Why something of a former row does not come back. */
export interface HeldBack {
  readonly kind: RevocationKind;
  readonly at: number;
}

/** What would come back, and what it would meet. */
export interface Outlook<Former, Row> {
  /** Without what was taken away since the backup. */
  readonly former: Former;
  readonly held: readonly HeldBack[];
  /** When it was removed, as far as anybody knows. */
  readonly removed_at: number | null;
  /** The id of the last revocation that was looked at. */
  readonly until: string;
  /** The row under that id now. */
  readonly current: Row | null;
}

/**
 * Puts single things back that a backup still has. What was taken away after the revocation `seen`, the last one that the
 * backup knows, stays so.
 */
export interface ReinstateStore {
  /** `rivals`: others who have the user name or the address now. */
  lookAtUser(input: FormerUser & { seen: string }): Promise<
    Outlook<FormerUser, UserRecord> & {
      readonly rivals: readonly Pick<UserRecord, 'id' | 'username' | 'email'>[];
    }
  >;
  /** Secrets that have run out by `now` do not come back. */
  lookAtClient(
    input: FormerClient & { seen: string; now: number },
  ): Promise<Outlook<FormerClient, ClientRecord>>;
  /** Consents that a user has withdrawn, those after a revocation. */
  withdrawnBy(input: Page & { id: string }): Promise<Revocation[]>;
  /** Consents that were withdrawn from a client, those after a revocation. */
  withdrawnFrom(input: Page & { id: string }): Promise<Revocation[]>;
  /**
   * Adds a user that is not there, as the outlook has them. `changed`: something of theirs was taken away since it was made;
   * `taken`: the id, the name or the address is in use.
   */
  user(input: FormerUser & { until: string }): Promise<{ outcome: 'reinstated' | 'taken' | 'changed' }>;
  /**
   * Revokes what is in force of the access tokens of a client that is not there, among about `limit` that run out after
   * `after` (ms): go on after `next` until that is null. They must not work again once the client is there again.
   */
  voidTokens(input: {
    client_id: string;
    now: number;
    after: number;
    limit: number;
  }): Promise<{ count: number; next: number | null }>;
  /** Adds a client that is not there, as the outlook has it; answers as `user` does. */
  client(input: FormerClient & { until: string }): Promise<{ outcome: 'reinstated' | 'taken' | 'changed' }>;
  /**
   * Adds those that are not there, of users and clients that are, and were when it was granted. `changed`: nothing, because
   * one of these went just now.
   */
  consents(input: {
    consents: readonly ConsentRecord[];
  }): Promise<{ outcome: 'added'; added: number } | { outcome: 'changed' }>;
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

/** Kinds of rows that a purge walks through, each by one rule. Named after their table, but where two share one. */
export type PurgeableRows =
  | 'assertion_jtis'
  | 'audit_events'
  | 'abandoned_clients'
  | 'auth_codes'
  | 'authorization_requests'
  | 'client_secrets'
  | 'connect_pending_states'
  | 'device_codes'
  | 'dpop_jtis'
  | 'dpop_nonces'
  | 'initial_access_tokens'
  | 'issuances_of_machines'
  | 'issuances_of_users'
  | 'login_failures'
  | 'pushed_requests'
  | 'refresh_tokens'
  | 'revocations'
  | 'sessions'
  | 'token_families'
  | 'verification_tokens';

/** How far a walk has come; only the kind of rows knows what it means. */
export interface PurgePlace {
  readonly from: number | string;
  /** Rows at `from` that have been looked at and stay. */
  readonly skip: number;
}

export interface PurgeWindow {
  /** Null to begin with. */
  readonly place: PurgePlace | null;
  /** How many rows the step may look at. */
  readonly look: number;
  /** Rows whose own time was over by then may go, ms. */
  readonly until: number;
  /** What they protect must have been over by then, ms. */
  readonly ended: number;
}

/** What a step took away. `next` is null when nothing is left to look at; `worked`: ms that others had to wait for it. */
export interface PurgeStep {
  readonly gone: number;
  readonly next: PurgePlace | null;
  readonly worked: number;
}

/** What a step would take away: so many of so many rows, and the end of the oldest of them. */
export interface PurgeLook {
  readonly looked: number;
  readonly ripe: number;
  readonly oldest: number | null;
  readonly next: PurgePlace | null;
}

/** A step of a walk takes away the rows that protect nothing any more. Two walks at once do no harm. */
export type PurgeStore = {
  readonly [Rows in PurgeableRows]: (input: PurgeWindow) => Promise<PurgeStep>;
};

/** The same steps, taking nothing away. */
export type PurgeableStore = {
  readonly [Rows in PurgeableRows]: (input: PurgeWindow) => Promise<PurgeLook>;
};

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
