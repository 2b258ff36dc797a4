import type { Migration } from './migration.ts';

/** The first schema: identity, clients, flow, tokens, keys, audit. Text is valid on both engines. */
export const foundation: Migration = {
  version: 1,
  name: 'foundation',
  release: '0.1.0',
  statements: [
    `create table deployment (
      id text primary key,
      created_at bigint not null,
      restore_epoch bigint not null default 0
    )`,
    `create table settings (
      name text primary key,
      value text not null,
      updated_at bigint not null
    )`,
    `create table users (
      id text primary key,
      username text not null unique,
      email text unique,
      email_verified bigint not null default 0,
      status text not null check (status in ('active', 'disabled')),
      profile_json text not null,
      created_at bigint not null,
      updated_at bigint not null
    )`,
    `create table passwords (
      user_id text primary key references users (id) on delete cascade,
      hash text not null,
      changed_at bigint not null
    )`,
    `create table sessions (
      id text primary key,
      token_hash text not null unique,
      user_id text not null references users (id) on delete cascade,
      auth_time bigint not null,
      acr text not null,
      amr_json text not null,
      ip text not null,
      user_agent text not null,
      created_at bigint not null,
      last_seen_at bigint not null,
      expires_at bigint not null,
      absolute_expires_at bigint not null,
      ended_at bigint
    )`,
    'create index sessions_user on sessions (user_id)',
    'create index sessions_expiry on sessions (expires_at)',
    `create table clients (
      id text primary key,
      name text not null,
      application_type text not null check (application_type in ('web', 'native', 'service')),
      token_endpoint_auth_method text not null,
      grant_types_json text not null,
      response_types_json text not null,
      redirect_uris_json text not null,
      post_logout_redirect_uris_json text not null,
      scope text not null,
      audiences_json text not null,
      jwks_json text,
      require_pkce bigint not null,
      skip_consent bigint not null,
      access_token_lifetime bigint,
      refresh_token_lifetime bigint,
      refresh_token_absolute_lifetime bigint,
      client_uri text,
      logo_uri text,
      policy_uri text,
      tos_uri text,
      contacts_json text not null,
      source text not null check (source in ('admin', 'dynamic')),
      status text not null check (status in ('active', 'disabled')),
      registration_token_hash text,
      created_at bigint not null,
      updated_at bigint not null
    )`,
    `create table client_secrets (
      id text primary key,
      client_id text not null references clients (id) on delete cascade,
      secret_hash text not null,
      created_at bigint not null,
      expires_at bigint
    )`,
    'create index client_secrets_client on client_secrets (client_id)',
    'create index client_secrets_expiry on client_secrets (expires_at)',
    `create table resources (
      id text primary key,
      uri text not null unique,
      name text not null,
      scopes_json text not null,
      access_token_lifetime bigint,
      created_at bigint not null,
      updated_at bigint not null
    )`,
    `create table consents (
      user_id text not null references users (id) on delete cascade,
      client_id text not null references clients (id) on delete cascade,
      resource text not null,
      scope text not null,
      granted_at bigint not null,
      updated_at bigint not null,
      primary key (user_id, client_id, resource)
    )`,
    'create index consents_client on consents (client_id)',
    `create table authorization_requests (
      id text primary key,
      client_id text not null references clients (id) on delete cascade,
      request_json text not null,
      created_at bigint not null,
      expires_at bigint not null
    )`,
    'create index authorization_requests_client on authorization_requests (client_id)',
    'create index authorization_requests_expiry on authorization_requests (expires_at)',
    `create table auth_codes (
      code_hash text primary key,
      family_id text not null unique,
      client_id text not null references clients (id) on delete cascade,
      user_id text not null references users (id) on delete cascade,
      session_id text not null,
      redirect_uri text not null,
      scope text not null,
      resources_json text not null,
      nonce text,
      code_challenge text,
      claims_json text,
      auth_time bigint not null,
      acr text not null,
      amr_json text not null,
      created_at bigint not null,
      expires_at bigint not null,
      redeemed_at bigint
    )`,
    'create index auth_codes_client on auth_codes (client_id)',
    'create index auth_codes_user on auth_codes (user_id)',
    'create index auth_codes_expiry on auth_codes (expires_at)',
    `create table token_families (
      id text primary key,
      client_id text not null references clients (id) on delete cascade,
      user_id text not null references users (id) on delete cascade,
      session_id text not null,
      scope text not null,
      resources_json text not null,
      claims_json text,
      auth_time bigint not null,
      acr text not null,
      amr_json text not null,
      created_at bigint not null,
      expires_at bigint not null,
      revoked_at bigint,
      revoked_reason text
    )`,
    'create index token_families_client on token_families (client_id)',
    'create index token_families_user on token_families (user_id)',
    'create index token_families_session on token_families (session_id)',
    'create index token_families_expiry on token_families (expires_at)',
    `create table refresh_tokens (
      token_hash text primary key,
      family_id text not null references token_families (id) on delete cascade,
      created_at bigint not null,
      expires_at bigint not null,
      spent_at bigint,
      successor_salt text,
      successor_hash text
    )`,
    'create index refresh_tokens_family on refresh_tokens (family_id)',
    'create index refresh_tokens_expiry on refresh_tokens (expires_at)',
    // No foreign keys: this is the hottest table, and a row outlives what it points at without harm.
    `create table issuances (
      jti text primary key,
      family_id text,
      user_id text,
      client_id text not null,
      kid text not null,
      issued_at bigint not null,
      expires_at bigint not null,
      revoked_at bigint
    )`,
    'create index issuances_expiry on issuances (expires_at)',
    `create table initial_access_tokens (
      id text primary key,
      token_hash text not null unique,
      note text not null,
      scope text not null default '',
      uses_left bigint,
      created_at bigint not null,
      expires_at bigint not null
    )`,
    'create index initial_access_tokens_expiry on initial_access_tokens (expires_at)',
    `create table assertion_jtis (
      id text primary key,
      expires_at bigint not null
    )`,
    'create index assertion_jtis_expiry on assertion_jtis (expires_at)',
    `create table signing_keys (
      kid text primary key,
      algorithm text not null,
      state text not null check (state in ('pending', 'active', 'retiring', 'retired', 'compromised')),
      public_jwk_json text not null,
      key_store text not null,
      created_at bigint not null,
      activates_at bigint not null,
      activated_at bigint,
      retires_at bigint,
      retired_at bigint
    )`,
    // One key signs and one waits, whoever races.
    `create unique index signing_keys_one_active on signing_keys (state) where state = 'active'`,
    `create unique index signing_keys_one_pending on signing_keys (state) where state = 'pending'`,
    `create table login_failures (
      id text primary key,
      failures bigint not null,
      window_ends_at bigint not null,
      locked_until bigint,
      expires_at bigint not null
    )`,
    'create index login_failures_expiry on login_failures (expires_at)',
    `create table audit_events (
      sequence bigint primary key,
      at bigint not null,
      action text not null,
      actor text not null,
      client_id text,
      user_id text,
      ip text,
      detail_json text not null,
      previous_hash text not null,
      hash text not null
    )`,
    'create index audit_events_at on audit_events (at)',
    // The end of the audit chain: `sequence:hash`. Its row is what appenders queue at.
    `insert into settings (name, value, updated_at) values ('audit.head', '0:', 0)`,
  ],
};
