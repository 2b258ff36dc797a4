import type { AuditTrail } from '../audit/trail.ts';
import { paths } from '../flow/paths.ts';
import { empty, type Incoming, json, type Outgoing, type Route } from '../http/exchange.ts';
import { OAuthError } from '../http/oauth-error.ts';
import { equalSecrets, sha256 } from '../kernel/bytes.ts';
import { type Clock, seconds } from '../kernel/clock.ts';
import type { Ids } from '../kernel/ids.ts';
import { type Random, randomToken } from '../kernel/random.ts';
import { type Client, type Clients, writeClient } from '../registry/clients.ts';
import { type ClientMetadata, checkMetadata, showMetadata } from '../registry/metadata.ts';
import { changedClient, newClient, secretRecord, usesSecret } from '../registry/new-client.ts';
import type { InitialAccessTokenRecord } from '../store/records.ts';
import type { ClientStore, RegistrationStore } from '../store/store.ts';
import { bearerError, bearerToken } from './bearer.ts';
import { firstScope, laterScope, openGrants, refuseForeignAddresses } from './registration-bounds.ts';
import type { OAuthSettings } from './settings.ts';

export interface RegistrationParts {
  readonly issuer: string;
  readonly settings: OAuthSettings;
  readonly clients: Clients;
  readonly store: { readonly clients: ClientStore; readonly registrations: RegistrationStore };
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
}

/** Dynamic client registration (RFC 7591) and its management (RFC 7592). */
export function registrationRoutes(parts: RegistrationParts): readonly Route[] {
  const managed = { path: `${paths.register}/:client_id`, kind: 'oauth' as const, cors: true };
  return [
    {
      method: 'POST',
      path: paths.register,
      kind: 'oauth',
      body: 'json',
      cors: true,
      handle: (incoming) => register(incoming, parts),
    },
    { ...managed, method: 'GET', body: 'none', handle: (incoming) => show(incoming, parts) },
    { ...managed, method: 'PUT', body: 'json', handle: (incoming) => update(incoming, parts) },
    { ...managed, method: 'DELETE', body: 'none', handle: (incoming) => remove(incoming, parts) },
  ];
}

async function register(incoming: Incoming, parts: RegistrationParts): Promise<Outgoing> {
  const { store, clock, random, ids } = parts;
  const { registration } = parts.settings;
  const initialToken = await checkMayRegister(incoming, parts);
  const vouched = initialToken?.scope ?? '';
  const metadata = readMetadata(incoming.json, { actsForItself: vouched !== '' }, parts);
  if (!initialToken) refuseForeignAddresses(metadata, null, registration);
  const scope = firstScope(metadata, vouched, registration);
  const now = clock.now();
  const registrationToken = randomToken(random);
  const client = newClient(
    { ...metadata, scope },
    {
      id: ids.next('cli'),
      source: 'dynamic',
      registration_token_hash: sha256(registrationToken),
      now,
    },
  );
  const secret = usesSecret(client) ? randomToken(random) : null;
  const { outcome } = await store.registrations.register({
    client: writeClient(client),
    secret: secret === null ? null : secretRecord({ id: ids.next('sec'), client_id: client.id, secret, now }),
    initial_token_hash: initialToken?.token_hash ?? null,
    now,
  });
  if (outcome === 'token_spent')
    throw bearerError('invalid_token', 'The initial access token is used up or has expired.');
  await record(parts, incoming, 'client.registered', client.id);
  return json(201, { ...information(client, registrationToken, parts), ...secretMembers(secret) });
}

/** The initial access token that pays for this registration, or null where none is needed. */
async function checkMayRegister(
  incoming: Incoming,
  { settings, store, clock }: RegistrationParts,
): Promise<InitialAccessTokenRecord | null> {
  if (incoming.headers.authorization === undefined) {
    if (settings.registration.mode !== 'admin_only') return null;
    throw bearerError(
      'invalid_token',
      'Registration here needs an initial access token from an administrator.',
      { bare: true },
    );
  }
  const token_hash = sha256(bearerToken(incoming));
  const token = await store.registrations.findInitialToken({ token_hash, now: clock.now() });
  if (!token) throw bearerError('invalid_token', 'The initial access token is used up or has expired.');
  return token;
}

/** @param actsForItself whether an administrator vouched for it, which opens the client credentials grant */
function readMetadata(
  input: unknown,
  { actsForItself }: { actsForItself: boolean },
  { settings }: RegistrationParts,
): ClientMetadata {
  return checkMetadata(input, {
    by: 'client',
    grantTypes: openGrants(input, actsForItself, settings.grant_types),
  });
}

async function show(incoming: Incoming, parts: RegistrationParts): Promise<Outgoing> {
  const { client, token } = await managedClient(incoming, parts);
  return json(200, information(client, token, parts));
}

/** RFC 7592 section 2.2: the metadata sent replaces what was there; members left out return to their defaults, but the scope. */
async function update(incoming: Incoming, parts: RegistrationParts): Promise<Outgoing> {
  const { client, token } = await managedClient(incoming, parts);
  checkSameClient(incoming.json, client);
  const { client_id: _, client_secret: __, ...members } = incoming.json as Record<string, unknown>;
  const actsForItself = client.grant_types.includes('client_credentials');
  const metadata = readMetadata(members, { actsForItself }, parts);
  refuseForeignAddresses(metadata, client, parts.settings.registration);
  const scope = laterScope(metadata, client, parts.settings.registration);
  if (metadata.token_endpoint_auth_method !== client.token_endpoint_auth_method) {
    throw new OAuthError(
      'invalid_client_metadata',
      'token_endpoint_auth_method cannot change: register another client.',
    );
  }
  const updated = changedClient(client, { ...metadata, scope }, 'client', parts.clock.now());
  const { outcome } = await parts.store.clients.update({ client: writeClient(updated) });
  if (outcome === 'unknown') throw foreignToken();
  await record(parts, incoming, 'client.updated', client.id);
  return json(200, information(updated, token, parts));
}

async function remove(incoming: Incoming, parts: RegistrationParts): Promise<Outgoing> {
  const { client } = await managedClient(incoming, parts);
  const { outcome } = await parts.store.clients.remove({ id: client.id, now: parts.clock.now() });
  if (outcome === 'unknown') throw foreignToken();
  await record(parts, incoming, 'client.removed', client.id);
  return empty(204);
}

/** RFC 7592 section 2: the registration access token opens its own client and nothing else. */
async function managedClient(
  incoming: Incoming,
  { clients }: RegistrationParts,
): Promise<{ client: Client; token: string }> {
  const token = bearerToken(incoming);
  const client = await clients.findActive(incoming.params.client_id ?? '');
  const hash = client?.registration_token_hash;
  if (client && hash && equalSecrets(hash, sha256(token))) return { client, token };
  throw foreignToken();
}

function foreignToken(): OAuthError {
  return bearerError('invalid_token', 'The registration access token does not belong to this client.');
}

function checkSameClient(body: unknown, client: Client): void {
  const members = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  if (members.client_id !== client.id) {
    throw new OAuthError(
      'invalid_client_metadata',
      'client_id must be there and be that of the client (RFC 7592 section 2.2).',
    );
  }
  const secret = members.client_secret;
  if (secret === undefined) return;
  const hash = typeof secret === 'string' ? sha256(secret) : '';
  if (client.secrets.some(({ secret_hash }) => equalSecrets(secret_hash, hash))) return;
  throw new OAuthError(
    'invalid_client_metadata',
    'client_secret must be the present one or be left out (RFC 7592 section 2.2).',
  );
}

function information(
  client: Client,
  registrationToken: string,
  { issuer }: RegistrationParts,
): Record<string, unknown> {
  return {
    client_id: client.id,
    client_id_issued_at: seconds(client.created_at),
    ...showMetadata(client, 'client'),
    registration_access_token: registrationToken,
    registration_client_uri: `${issuer}${paths.register}/${client.id}`,
  };
}

/** A secret is shown once; zero says that it does not expire (RFC 7591 section 3.2.1). */
function secretMembers(secret: string | null): Record<string, unknown> {
  return secret === null ? {} : { client_secret: secret, client_secret_expires_at: 0 };
}

function record(
  { audit }: RegistrationParts,
  { source }: Incoming,
  action: 'client.registered' | 'client.updated' | 'client.removed',
  clientId: string,
): Promise<void> {
  return audit.record({ action, actor: `client:${clientId}`, client_id: clientId, ip: source });
}
