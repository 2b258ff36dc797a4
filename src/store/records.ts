/**
 * The row types. A record is a row as it is stored: column names are the protocol's own words, times are integer
 * milliseconds, truth is 0 or 1, and a column that ends in `_json` holds JSON text whose meaning belongs to the room
 * that owns the noun. Secrets appear only as hashes.
 */

export interface DeploymentRecord {
  id: string;
  created_at: number;
  /** Grows with every restore; what was issued under an older epoch may be refused. */
  restore_epoch: number;
}

export interface UserRecord {
  id: string;
  /** Lower case, NFKC: what a person types to sign in. */
  username: string;
  email: string | null;
  email_verified: number;
  status: 'active' | 'disabled';
  /** OpenID Connect Core 5.1 standard claims besides the e-mail, as JSON. */
  profile_json: string;
  created_at: number;
  updated_at: number;
}

export interface PasswordRecord {
  user_id: string;
  /** PHC string, Argon2id. */
  hash: string;
  changed_at: number;
}

export interface SessionRecord {
  id: string;
  /** SHA-256 of the cookie's value. */
  token_hash: string;
  user_id: string;
  auth_time: number;
  acr: string;
  amr_json: string;
  ip: string;
  user_agent: string;
  created_at: number;
  last_seen_at: number;
  /** The sooner of the idle and the absolute end. */
  expires_at: number;
  absolute_expires_at: number;
  ended_at: number | null;
}

export interface ClientRecord {
  id: string;
  name: string;
  application_type: 'web' | 'native' | 'service';
  token_endpoint_auth_method: 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt';
  grant_types_json: string;
  response_types_json: string;
  redirect_uris_json: string;
  post_logout_redirect_uris_json: string;
  /** Ceiling, space separated; empty: whatever users consent to, and nothing where nobody consents. */
  scope: string;
  /** Resource indicators this client may introspect tokens of and act as (RFC 7662 entitlement). */
  audiences_json: string;
  jwks_json: string | null;
  require_pkce: number;
  /** A first-party client whose users are not asked for consent. */
  skip_consent: number;
  access_token_lifetime: number | null;
  refresh_token_lifetime: number | null;
  refresh_token_absolute_lifetime: number | null;
  client_uri: string | null;
  logo_uri: string | null;
  policy_uri: string | null;
  tos_uri: string | null;
  contacts_json: string;
  source: 'admin' | 'dynamic';
  status: 'active' | 'disabled';
  /** SHA-256 of the registration access token (RFC 7592). */
  registration_token_hash: string | null;
  created_at: number;
  updated_at: number;
}

export interface ClientSecretRecord {
  id: string;
  client_id: string;
  /** SHA-256: secrets are made by us with 256 bits, or given by an administrator with at least 32 characters. */
  secret_hash: string;
  created_at: number;
  expires_at: number | null;
}

export interface ResourceRecord {
  id: string;
  /** The resource indicator (RFC 8707) and the `aud` of its tokens, byte-exact. */
  uri: string;
  name: string;
  /** `[{"name","description"}]` */
  scopes_json: string;
  access_token_lifetime: number | null;
  created_at: number;
  updated_at: number;
}

export interface ConsentRecord {
  user_id: string;
  client_id: string;
  /** A resource indicator, or empty for the server's own scopes. */
  resource: string;
  scope: string;
  granted_at: number;
  updated_at: number;
}

export interface AuthorizationRequestRecord {
  /** SHA-256 of the handle that travels in the browser. */
  id: string;
  client_id: string;
  /** The checked request, as `flow/` wrote it. */
  request_json: string;
  created_at: number;
  expires_at: number;
}

export interface AuthCodeRecord {
  code_hash: string;
  /** The family that redeeming this code founds; known before, so that a replay can find it. */
  family_id: string;
  client_id: string;
  user_id: string;
  session_id: string;
  redirect_uri: string;
  scope: string;
  /** Resource indicators granted, JSON array. */
  resources_json: string;
  nonce: string | null;
  code_challenge: string | null;
  /** Claims asked for by the `claims` parameter, JSON, or null. */
  claims_json: string | null;
  auth_time: number;
  acr: string;
  amr_json: string;
  created_at: number;
  expires_at: number;
  redeemed_at: number | null;
}

export interface TokenFamilyRecord {
  id: string;
  client_id: string;
  user_id: string;
  session_id: string;
  scope: string;
  resources_json: string;
  claims_json: string | null;
  auth_time: number;
  acr: string;
  amr_json: string;
  created_at: number;
  /** Absolute end: no rotation moves it. */
  expires_at: number;
  revoked_at: number | null;
  revoked_reason: string | null;
}

export interface RefreshTokenRecord {
  token_hash: string;
  family_id: string;
  created_at: number;
  expires_at: number;
  spent_at: number | null;
  /** Lets the holder of a just spent token, and nobody else, be given the same successor again. */
  successor_salt: string | null;
  successor_hash: string | null;
}

export interface IssuanceRecord {
  jti: string;
  /** Null for tokens that a client got for itself. */
  family_id: string | null;
  user_id: string | null;
  client_id: string;
  kid: string;
  issued_at: number;
  expires_at: number;
  revoked_at: number | null;
}

export interface InitialAccessTokenRecord {
  id: string;
  token_hash: string;
  note: string;
  /** The most that a client may be registered for that acts for itself; empty: no such client. */
  scope: string;
  /** How many registrations are left; null for any number. */
  uses_left: number | null;
  created_at: number;
  expires_at: number;
}

export interface AssertionJtiRecord {
  /** SHA-256 of issuer and jti. */
  id: string;
  expires_at: number;
}

export type KeyState = 'pending' | 'active' | 'retiring' | 'retired' | 'compromised';

export interface SigningKeyRecord {
  kid: string;
  algorithm: 'ES256' | 'EdDSA' | 'RS256';
  state: KeyState;
  /** The public half stays here for good, so that a lost private key stops signing, not verification. */
  public_jwk_json: string;
  /** Which key store holds the private half. */
  key_store: string;
  created_at: number;
  /** Not before this may a pending key sign: published at least as long as verifiers cache the JWKS. */
  activates_at: number;
  activated_at: number | null;
  /** Set when another key takes over: the last `exp` this key can have signed, plus skew. */
  retires_at: number | null;
  retired_at: number | null;
}

export interface LoginFailureRecord {
  /** SHA-256 of account and source, or of the source alone. */
  id: string;
  failures: number;
  window_ends_at: number;
  locked_until: number | null;
  expires_at: number;
}

export interface AuditEventRecord {
  /** Position in the chain, from 1, without gaps. */
  sequence: number;
  at: number;
  action: string;
  actor: string;
  client_id: string | null;
  user_id: string | null;
  ip: string | null;
  detail_json: string;
  previous_hash: string;
  hash: string;
}

export interface SettingRecord {
  name: string;
  value: string;
  updated_at: number;
}

export interface MigrationRecord {
  version: number;
  name: string;
  checksum: string;
  applied_at: number;
}

/** Who runs a chore that only one process may run at a time. */
export interface LeaseRecord {
  name: string;
  /** The run, not the process: two runs of one process are two holders. */
  holder: string;
  acquired_at: number;
  /** The holder has it until then, and moves it on while it lives. */
  held_until: number;
}

/** A key that seals rows, wrapped by a master key. */
export interface DataKeyRecord {
  id: string;
  master_key_id: string;
  wrapped: string;
  /** A known text sealed under this key: whether the master key at hand is the right one can be tried. */
  check_value: string;
  created_at: number;
  rewrapped_at: number | null;
}

/** The private half of a signing key in the key store `database`. */
export interface PrivateKeyRecord {
  kid: string;
  sealed: string;
  data_key_id: string;
  created_at: number;
}

/** An id that may be used once until it expires. */
export interface OnceRecord {
  id: string;
  expires_at: number;
}

export interface ConnectPendingStateRecord {
  id: string;
  state_json: string;
  created_at: number;
  expires_at: number;
}

export interface PushedRequestRecord {
  id: string;
  client_id: string;
  request_json: string;
  created_at: number;
  expires_at: number;
}

export interface DeviceCodeRecord {
  id: string;
  user_code_hash: string;
  client_id: string;
  request_json: string;
  created_at: number;
  expires_at: number;
}

export interface VerificationTokenRecord {
  id: string;
  user_id: string;
  purpose: string;
  created_at: number;
  expires_at: number;
}

/** What was taken away: which of the other columns a kind fills is said in sql/revocations.ts. */
export type RevocationKind =
  | 'password_changed'
  | 'user_disabled'
  | 'user_enabled'
  | 'user_removed'
  | 'session_ended'
  | 'sessions_ended'
  | 'family_revoked'
  | 'grant_withdrawn'
  | 'token_revoked'
  | 'client_disabled'
  | 'client_enabled'
  | 'client_removed'
  | 'client_narrowed'
  | 'client_secret_rotated'
  | 'resource_removed'
  | 'resource_narrowed'
  | 'key_compromised'
  | 'setting_rotated';

/**
 * Access that was taken away, written with what took it, so that a restore can take it away again. It holds nothing that
 * opens anything.
 */
export interface RevocationRecord {
  /** `epoch.number.digest`: sorts by restore epoch, then by the order of commits. */
  id: string;
  at: number;
  kind: RevocationKind;
  user_id: string | null;
  client_id: string | null;
  /** The id of the session, family, token, resource, key or setting. */
  subject: string | null;
  detail_json: string;
  /** The restore that brought it to this database, by its time; null where it happened here. */
  restored_at: number | null;
  /** When that restore took the access away again; null until then. */
  replayed_at: number | null;
}

/** A revocation wherever it is told. */
export type Revocation = Readonly<Omit<RevocationRecord, 'restored_at' | 'replayed_at'>>;

/** Every table, by name. */
export interface Tables {
  deployment: DeploymentRecord;
  users: UserRecord;
  passwords: PasswordRecord;
  sessions: SessionRecord;
  clients: ClientRecord;
  client_secrets: ClientSecretRecord;
  resources: ResourceRecord;
  consents: ConsentRecord;
  authorization_requests: AuthorizationRequestRecord;
  auth_codes: AuthCodeRecord;
  token_families: TokenFamilyRecord;
  refresh_tokens: RefreshTokenRecord;
  issuances: IssuanceRecord;
  initial_access_tokens: InitialAccessTokenRecord;
  assertion_jtis: AssertionJtiRecord;
  signing_keys: SigningKeyRecord;
  login_failures: LoginFailureRecord;
  audit_events: AuditEventRecord;
  settings: SettingRecord;
  schema_migrations: MigrationRecord;
  leases: LeaseRecord;
  data_keys: DataKeyRecord;
  private_keys: PrivateKeyRecord;
  dpop_jtis: OnceRecord;
  dpop_nonces: OnceRecord;
  connect_pending_states: ConnectPendingStateRecord;
  pushed_requests: PushedRequestRecord;
  device_codes: DeviceCodeRecord;
  verification_tokens: VerificationTokenRecord;
  revocations: RevocationRecord;
}
