/**
 * registry: who may ask, for what (clients, resources, scopes). It must not know users, sessions or tokens.
 */
import type { ClientRecord, ClientSecretRecord } from '../store/records.ts';
import type { ClientStore } from '../store/store.ts';

type AuthMethod = ClientRecord['token_endpoint_auth_method'];
export type GrantType = 'authorization_code' | 'refresh_token' | 'client_credentials';

/** A client as the protocol sees it: the stored record with its lists read. */
export interface Client {
  readonly id: string;
  readonly name: string;
  readonly application_type: ClientRecord['application_type'];
  readonly token_endpoint_auth_method: AuthMethod;
  readonly grant_types: readonly GrantType[];
  readonly response_types: readonly string[];
  readonly redirect_uris: readonly string[];
  readonly post_logout_redirect_uris: readonly string[];
  /** Ceiling of what it may ask for, space separated; empty: whatever users consent to, and nothing where nobody does. */
  readonly scope: string;
  /** Resource indicators that this client serves: it may introspect their tokens. */
  readonly audiences: readonly string[];
  readonly jwks: { readonly keys: readonly Record<string, unknown>[] } | null;
  readonly require_pkce: boolean;
  readonly skip_consent: boolean;
  /** ms; null for the server's default. */
  readonly access_token_lifetime: number | null;
  readonly refresh_token_lifetime: number | null;
  readonly refresh_token_absolute_lifetime: number | null;
  readonly client_uri: string | null;
  readonly logo_uri: string | null;
  readonly policy_uri: string | null;
  readonly tos_uri: string | null;
  readonly contacts: readonly string[];
  readonly source: ClientRecord['source'];
  readonly status: ClientRecord['status'];
  readonly registration_token_hash: string | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly secrets: readonly ClientSecretRecord[];
}

/** Public clients prove nothing of themselves at the token endpoint (RFC 6749 section 2.1). */
export function isPublic(client: Pick<Client, 'token_endpoint_auth_method'>): boolean {
  return client.token_endpoint_auth_method === 'none';
}

export class Clients {
  readonly #store: ClientStore;

  constructor(store: ClientStore) {
    this.#store = store;
  }

  /** The client, active or not; undefined when there is none of this id. */
  async find(id: string): Promise<Client | undefined> {
    const record = await this.#store.find({ id });
    return record && readClient(record, record.secrets);
  }

  /** The client if it exists and is active. */
  async findActive(id: string): Promise<Client | undefined> {
    const client = await this.find(id);
    return client?.status === 'active' ? client : undefined;
  }
}

export function readClient(record: ClientRecord, secrets: readonly ClientSecretRecord[] = []): Client {
  return {
    id: record.id,
    name: record.name,
    application_type: record.application_type,
    token_endpoint_auth_method: record.token_endpoint_auth_method,
    grant_types: JSON.parse(record.grant_types_json),
    response_types: JSON.parse(record.response_types_json),
    redirect_uris: JSON.parse(record.redirect_uris_json),
    post_logout_redirect_uris: JSON.parse(record.post_logout_redirect_uris_json),
    scope: record.scope,
    audiences: JSON.parse(record.audiences_json),
    jwks: record.jwks_json === null ? null : JSON.parse(record.jwks_json),
    require_pkce: record.require_pkce === 1,
    skip_consent: record.skip_consent === 1,
    access_token_lifetime: record.access_token_lifetime,
    refresh_token_lifetime: record.refresh_token_lifetime,
    refresh_token_absolute_lifetime: record.refresh_token_absolute_lifetime,
    client_uri: record.client_uri,
    logo_uri: record.logo_uri,
    policy_uri: record.policy_uri,
    tos_uri: record.tos_uri,
    contacts: JSON.parse(record.contacts_json),
    source: record.source,
    status: record.status,
    registration_token_hash: record.registration_token_hash,
    created_at: record.created_at,
    updated_at: record.updated_at,
    secrets,
  };
}

export function writeClient(client: Client): ClientRecord {
  const {
    secrets: _,
    grant_types,
    response_types,
    redirect_uris,
    post_logout_redirect_uris,
    ...rest
  } = client;
  const { audiences, jwks, contacts, require_pkce, skip_consent, ...plain } = rest;
  return {
    ...plain,
    grant_types_json: JSON.stringify(grant_types),
    response_types_json: JSON.stringify(response_types),
    redirect_uris_json: JSON.stringify(redirect_uris),
    post_logout_redirect_uris_json: JSON.stringify(post_logout_redirect_uris),
    audiences_json: JSON.stringify(audiences),
    jwks_json: jwks === null ? null : JSON.stringify(jwks),
    contacts_json: JSON.stringify(contacts),
    require_pkce: require_pkce ? 1 : 0,
    skip_consent: skip_consent ? 1 : 0,
  };
}
