/** Rows for the suite: complete, valid, each with an id of its own; a test names only what it is about. */
import { randomUUID } from 'node:crypto';
import type {
  AuthCodeRecord,
  AuthorizationRequestRecord,
  ClientRecord,
  ClientSecretRecord,
  ConsentRecord,
  InitialAccessTokenRecord,
  IssuanceRecord,
  RefreshTokenRecord,
  ResourceRecord,
  SessionRecord,
  SigningKeyRecord,
  TokenFamilyRecord,
  UserRecord,
} from '../records.ts';

/** The moment at which the suite plays, ms. */
export const NOW = 1_900_000_000_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function newId(prefix: string): string {
  return `${prefix}_${randomUUID()}`;
}

export function userRow(given: Partial<UserRecord> = {}): UserRecord {
  const id = given.id ?? newId('usr');
  return {
    id,
    username: `name-of-${id}`,
    email: `${id}@example.test`,
    email_verified: 0,
    status: 'active',
    profile_json: '{"name":"Zoë 🦊"}',
    created_at: NOW,
    updated_at: NOW,
    ...given,
  };
}

export function sessionRow(user_id: string, given: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id: newId('ses'),
    token_hash: newId('cookie'),
    user_id,
    auth_time: NOW,
    acr: 'urn:test:1',
    amr_json: '["pwd"]',
    ip: '192.0.2.1',
    user_agent: 'suite',
    created_at: NOW,
    last_seen_at: NOW,
    expires_at: NOW + HOUR,
    absolute_expires_at: NOW + DAY,
    ended_at: null,
    ...given,
  };
}

export function clientRow(given: Partial<ClientRecord> = {}): ClientRecord {
  return {
    id: newId('cli'),
    name: 'A client',
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types_json: '["authorization_code","refresh_token"]',
    response_types_json: '["code"]',
    redirect_uris_json: '["https://app.example.test/callback"]',
    post_logout_redirect_uris_json: '[]',
    scope: '',
    audiences_json: '[]',
    jwks_json: null,
    require_pkce: 1,
    skip_consent: 0,
    access_token_lifetime: null,
    refresh_token_lifetime: null,
    refresh_token_absolute_lifetime: null,
    client_uri: 'https://app.example.test',
    logo_uri: null,
    policy_uri: null,
    tos_uri: null,
    contacts_json: '[]',
    source: 'admin',
    status: 'active',
    registration_token_hash: null,
    created_at: NOW,
    updated_at: NOW,
    ...given,
  };
}

export function secretRow(client_id: string, given: Partial<ClientSecretRecord> = {}): ClientSecretRecord {
  return {
    id: newId('sec'),
    client_id,
    secret_hash: newId('hash'),
    created_at: NOW,
    expires_at: null,
    ...given,
  };
}

export function resourceRow(given: Partial<ResourceRecord> = {}): ResourceRecord {
  const id = given.id ?? newId('res');
  return {
    id,
    uri: `https://api.example.test/${id}`,
    name: 'An API',
    scopes_json: '[{"name":"read","description":"Read"}]',
    access_token_lifetime: null,
    created_at: NOW,
    updated_at: NOW,
    ...given,
  };
}

export function consentRow(
  user_id: string,
  client_id: string,
  given: Partial<ConsentRecord> = {},
): ConsentRecord {
  return {
    user_id,
    client_id,
    resource: '',
    scope: 'openid',
    granted_at: NOW,
    updated_at: NOW,
    ...given,
  };
}

export function requestRow(
  client_id: string,
  given: Partial<AuthorizationRequestRecord> = {},
): AuthorizationRequestRecord {
  return {
    id: newId('req'),
    client_id,
    request_json: '{}',
    created_at: NOW,
    expires_at: NOW + 30 * MINUTE,
    ...given,
  };
}

export function codeRow(
  parties: { user_id: string; client_id: string; session_id: string },
  given: Partial<AuthCodeRecord> = {},
): AuthCodeRecord {
  return {
    ...parties,
    code_hash: newId('code'),
    family_id: newId('fam'),
    redirect_uri: 'https://app.example.test/callback',
    scope: 'openid',
    resources_json: '[]',
    nonce: null,
    code_challenge: 'challenge',
    claims_json: null,
    auth_time: NOW,
    acr: 'urn:test:1',
    amr_json: '["pwd"]',
    created_at: NOW,
    expires_at: NOW + MINUTE,
    redeemed_at: null,
    ...given,
  };
}

/** The family that a code founds. */
export function familyRow(code: AuthCodeRecord, given: Partial<TokenFamilyRecord> = {}): TokenFamilyRecord {
  return {
    id: code.family_id,
    client_id: code.client_id,
    user_id: code.user_id,
    session_id: code.session_id,
    scope: code.scope,
    resources_json: code.resources_json,
    claims_json: code.claims_json,
    auth_time: code.auth_time,
    acr: code.acr,
    amr_json: code.amr_json,
    created_at: NOW,
    expires_at: NOW + 30 * DAY,
    revoked_at: null,
    revoked_reason: null,
    ...given,
  };
}

export function refreshRow(family_id: string, given: Partial<RefreshTokenRecord> = {}): RefreshTokenRecord {
  return {
    token_hash: newId('refresh'),
    family_id,
    created_at: NOW,
    expires_at: NOW + 7 * DAY,
    spent_at: null,
    successor_salt: null,
    successor_hash: null,
    ...given,
  };
}

export function issuanceRow(given: Partial<IssuanceRecord> = {}): IssuanceRecord {
  return {
    jti: newId('jti'),
    family_id: null,
    user_id: null,
    client_id: 'cli_none',
    kid: 'key-1',
    issued_at: NOW,
    expires_at: NOW + 10 * MINUTE,
    revoked_at: null,
    ...given,
  };
}

export function initialTokenRow(given: Partial<InitialAccessTokenRecord> = {}): InitialAccessTokenRecord {
  return {
    id: newId('iat'),
    token_hash: newId('hash'),
    note: 'for the suite',
    scope: 'read write',
    uses_left: null,
    created_at: NOW,
    expires_at: NOW + DAY,
    ...given,
  };
}

export function keyRow(given: Partial<SigningKeyRecord> = {}): SigningKeyRecord {
  return {
    kid: newId('kid'),
    algorithm: 'ES256',
    state: 'active',
    public_jwk_json: '{"kty":"EC"}',
    key_store: 'keyfile',
    created_at: NOW,
    activates_at: NOW,
    activated_at: null,
    retires_at: null,
    retired_at: null,
    ...given,
  };
}
