import type { Migration } from './migration.ts';

/**
 * What the day-2 chores keep: leases, sealed keys; and the tables of short-lived rows whose features come later, so that
 * the purge that looks after them is there before they are.
 */
export const dayTwo: Migration = {
  version: 2,
  name: 'day-two',
  release: '0.1.0',
  statements: [
    // Who runs a chore that only one may run at a time; a holder that dies stops renewing.
    `create table leases (
      name text primary key,
      holder text not null,
      acquired_at bigint not null,
      held_until bigint not null
    )`,
    // Keys that seal rows, each wrapped by a master key that is kept elsewhere.
    `create table data_keys (
      id text primary key,
      master_key_id text not null,
      wrapped text not null,
      check_value text not null,
      created_at bigint not null,
      rewrapped_at bigint
    )`,
    'create index data_keys_master on data_keys (master_key_id)',
    // Private halves of signing keys, sealed: the key store `database`.
    `create table private_keys (
      kid text primary key,
      sealed text not null,
      data_key_id text not null references data_keys (id),
      created_at bigint not null
    )`,
    'create index private_keys_data_key on private_keys (data_key_id)',
    `create table dpop_jtis (
      id text primary key,
      expires_at bigint not null
    )`,
    'create index dpop_jtis_expiry on dpop_jtis (expires_at)',
    `create table dpop_nonces (
      id text primary key,
      expires_at bigint not null
    )`,
    'create index dpop_nonces_expiry on dpop_nonces (expires_at)',
    `create table connect_pending_states (
      id text primary key,
      state_json text not null,
      created_at bigint not null,
      expires_at bigint not null
    )`,
    'create index connect_pending_states_expiry on connect_pending_states (expires_at)',
    `create table pushed_requests (
      id text primary key,
      client_id text not null references clients (id) on delete cascade,
      request_json text not null,
      created_at bigint not null,
      expires_at bigint not null
    )`,
    'create index pushed_requests_client on pushed_requests (client_id)',
    'create index pushed_requests_expiry on pushed_requests (expires_at)',
    `create table device_codes (
      id text primary key,
      user_code_hash text not null unique,
      client_id text not null references clients (id) on delete cascade,
      request_json text not null,
      created_at bigint not null,
      expires_at bigint not null
    )`,
    'create index device_codes_client on device_codes (client_id)',
    'create index device_codes_expiry on device_codes (expires_at)',
    `create table verification_tokens (
      id text primary key,
      user_id text not null references users (id) on delete cascade,
      purpose text not null,
      created_at bigint not null,
      expires_at bigint not null
    )`,
    'create index verification_tokens_user on verification_tokens (user_id)',
    'create index verification_tokens_expiry on verification_tokens (expires_at)',
  ],
};
