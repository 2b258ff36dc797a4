import type { Migration } from './migration.ts';

/** What a restore must know that the rows it brings back cannot: which access was taken away since. */
export const recovery: Migration = {
  version: 3,
  name: 'recovery',
  release: '0.1.0',
  statements: [
    // No foreign keys: a row outlives what it is about, and may be about what a restored database never had.
    `create table revocations (
      id text primary key,
      at bigint not null,
      kind text not null,
      user_id text,
      client_id text,
      subject text,
      detail_json text not null,
      restored_at bigint,
      replayed_at bigint
    )`,
    'create index revocations_at on revocations (at)',
    // Empty but in a database that was restored.
    'create index revocations_restored on revocations (restored_at, user_id, client_id) where restored_at is not null',
  ],
};
