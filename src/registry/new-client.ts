import { sha256 } from '../kernel/bytes.ts';
import type { ClientRecord, ClientSecretRecord } from '../store/records.ts';
import type { Client } from './clients.ts';
import type { ClientMetadata, MetadataPolicy } from './metadata.ts';

/** Makes a client of its metadata: active, and named by its id where it has no name (RFC 7591 section 2). */
export function newClient(
  metadata: ClientMetadata,
  founding: {
    readonly id: string;
    readonly source: ClientRecord['source'];
    readonly registration_token_hash: string | null;
    /** ms */
    readonly now: number;
  },
): Client {
  const { id, source, registration_token_hash, now } = founding;
  return {
    ...metadata,
    id,
    name: metadata.name || id,
    source,
    status: 'active',
    registration_token_hash,
    created_at: now,
    updated_at: now,
    secrets: [],
  };
}

/** The client with other metadata. What only an administrator may set stays as it is where the client speaks for itself. */
export function changedClient(
  client: Client,
  metadata: ClientMetadata,
  by: MetadataPolicy['by'],
  now: number,
): Client {
  return {
    ...client,
    ...metadata,
    ...(by === 'client' && setByAdministrator(client)),
    name: metadata.name || client.id,
    updated_at: now,
  };
}

function setByAdministrator(client: Client): Partial<ClientMetadata> {
  const { audiences, require_pkce, skip_consent } = client;
  const { access_token_lifetime, refresh_token_lifetime, refresh_token_absolute_lifetime } = client;
  return {
    audiences,
    require_pkce,
    skip_consent,
    access_token_lifetime,
    refresh_token_lifetime,
    refresh_token_absolute_lifetime,
  };
}

/** Does the client prove itself with a shared secret (RFC 6749 section 2.3.1)? */
export function usesSecret(client: Pick<Client, 'token_endpoint_auth_method'>): boolean {
  return client.token_endpoint_auth_method.startsWith('client_secret_');
}

/** What is kept of a secret; it does not expire until another one takes its place. */
export function secretRecord(parts: {
  readonly id: string;
  readonly client_id: string;
  readonly secret: string;
  readonly now: number;
}): ClientSecretRecord {
  const { id, client_id, secret, now } = parts;
  return { id, client_id, secret_hash: sha256(secret), created_at: now, expires_at: null };
}
