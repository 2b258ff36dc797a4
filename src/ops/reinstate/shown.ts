/**
 * What of a row may be shown to whoever compares two databases. Secrets and their hashes never are, and what is not known to
 * be harmless counts as a secret: a table or column that comes later is hidden until somebody says otherwise.
 */
import { hash } from 'node:crypto';

export type RowValue = string | number | null;
export type Row = Readonly<Record<string, RowValue>>;

/** Tables whose primary key opens nothing, and is no digest of something that does. */
const PLAIN_KEYS = new Set([
  'deployment',
  'users',
  'passwords',
  'sessions',
  'clients',
  'client_secrets',
  'resources',
  'consents',
  'token_families',
  'issuances',
  'initial_access_tokens',
  'signing_keys',
  'audit_events',
  'settings',
  'schema_migrations',
  'leases',
  'data_keys',
  'private_keys',
  'revocations',
]);

const PLAIN_COLUMNS = new Set([
  'access_token_lifetime',
  'action',
  'actor',
  'algorithm',
  'application_type',
  'client_id',
  'client_uri',
  'email',
  'email_verified',
  'key_store',
  'kind',
  'logo_uri',
  'name',
  'policy_uri',
  'redirect_uris_json',
  'post_logout_redirect_uris_json',
  'grant_types_json',
  'response_types_json',
  'refresh_token_absolute_lifetime',
  'refresh_token_lifetime',
  'require_pkce',
  'restore_epoch',
  'revoked_reason',
  'scope',
  'scopes_json',
  'skip_consent',
  'source',
  'state',
  'status',
  'token_endpoint_auth_method',
  'tos_uri',
  'uri',
  'user_id',
  'username',
  'uses_left',
]);

/** The primary key as it may be shown: of some tables only a fingerprint. */
export function shownKey(table: string, key: readonly string[], row: Row): Row {
  const isPlain = PLAIN_KEYS.has(table);
  return Object.fromEntries(
    key.map((column) => [column, isPlain ? (row[column] ?? null) : fingerprint(row[column] ?? null)]),
  );
}

export interface ColumnChange {
  readonly column: string;
  /** Missing where a column is not shown. */
  readonly from?: RowValue;
  readonly to?: RowValue;
}

export function shownChange(column: string, from: RowValue, to: RowValue): ColumnChange {
  const isPlain = PLAIN_COLUMNS.has(column) || /_at$/.test(column);
  return isPlain ? { column, from, to } : { column };
}

function fingerprint(value: RowValue): string {
  return `sha256:${hash('sha256', String(value), 'hex').slice(0, 12)}`;
}
