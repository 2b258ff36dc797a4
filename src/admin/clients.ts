import { z } from 'zod';
import { empty, json, type Outgoing } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import type { Params } from '../http/params.ts';
import { Failure } from '../kernel/errors.ts';
import { randomToken } from '../kernel/random.ts';
import { type Client, type Clients, readClient, writeClient } from '../registry/clients.ts';
import { checkMetadata, type MetadataPolicy, showMetadata } from '../registry/metadata.ts';
import { changedClient, newClient, secretRecord, usesSecret } from '../registry/new-client.ts';
import type { ClientRecord } from '../store/records.ts';
import type { AdminParts, AdminRoute, Caller } from './admin-route.ts';
import { clientKindNames, clientKinds } from './client-kinds.ts';
import { byId, ifAbsent, listPage } from './page.ts';

const DAY = 86_400;

/** Secrets are kept as SHA-256, which is safe for those that nobody can guess: hence the least length. */
const secret = z
  .string()
  .min(32)
  .max(256)
  .regex(/^[\x21-\x7e]*$/, 'must be visible ASCII characters');

/** What a creation says besides metadata, which `checkMetadata` reads. */
const newClientMembers = z.looseObject({
  client_id: z
    .string()
    .max(128)
    .regex(/^[A-Za-z0-9._~:@-]+$/, 'must be letters, digits and any of . _ ~ : @ -')
    .optional(),
  client_secret: secret.optional(),
  kind: z.enum(clientKindNames).default('web'),
  if_absent: ifAbsent,
});

const newSecret = z.strictObject({
  client_secret: secret.optional(),
  /** Seconds that the former secrets stay good, so that a client can change over without a gap. */
  overlap: z
    .int()
    .min(0)
    .max(30 * DAY)
    .default(DAY),
});

/** /admin/clients: applications and their secrets. */
export function clientRoutes(parts: AdminParts): AdminRoute[] {
  const api = new ClientApi(parts);
  const one = '/admin/clients/:client_id';
  return [
    { method: 'GET', path: '/admin/clients', body: 'none', handle: ({ query }) => api.list(query) },
    {
      method: 'POST',
      path: '/admin/clients',
      body: 'json',
      handle: (request, caller) => api.create(request.json, caller),
    },
    { method: 'GET', path: one, body: 'none', handle: ({ params }) => api.show(params['client_id']) },
    {
      method: 'PATCH',
      path: one,
      body: 'json',
      handle: (request, caller) => api.update(request.params['client_id'], request.json, caller),
    },
    {
      method: 'DELETE',
      path: one,
      body: 'none',
      handle: ({ params }, caller) => api.remove(params['client_id'], caller),
    },
    {
      method: 'POST',
      path: `${one}/secrets`,
      body: 'json',
      handle: (request, caller) => api.addSecret(request.params['client_id'], request.json, caller),
    },
    {
      method: 'POST',
      path: `${one}/disable`,
      body: 'none',
      handle: ({ params }, caller) => api.setStatus(params['client_id'], 'disabled', caller),
    },
    {
      method: 'POST',
      path: `${one}/enable`,
      body: 'none',
      handle: ({ params }, caller) => api.setStatus(params['client_id'], 'active', caller),
    },
  ];
}

class ClientApi {
  readonly #parts: AdminParts;
  readonly #clients: Clients;
  readonly #policy: MetadataPolicy;

  constructor(parts: AdminParts) {
    this.#parts = parts;
    this.#clients = parts.clients;
    this.#policy = { by: 'administrator', grantTypes: parts.grantTypes };
  }

  async list(query: Params): Promise<Outgoing> {
    const { clients } = this.#parts.store;
    const page = await listPage(query, {
      ...byId(query),
      read: (page) => clients.list(page),
      show: (record: ClientRecord) => showSummary(readClient(record)),
    });
    return json(200, page);
  }

  async create(body: unknown, caller: Caller): Promise<Outgoing> {
    const { store, ids, clock, random, audit } = this.#parts;
    const { client_id, client_secret: given, kind, if_absent, ...rest } = readBody(newClientMembers, body);
    if (if_absent && client_id === undefined) throw nothingToLookFor();
    const metadata = checkMetadata({ ...clientKinds[kind], ...rest }, this.#policy);
    if (given !== undefined && !usesSecret(metadata)) throw hasNoSecret(metadata);

    const now = clock.now();
    const id = client_id ?? ids.next('cli');
    const client = newClient(metadata, { id, source: 'admin', registration_token_hash: null, now });
    const secret = usesSecret(client) ? (given ?? randomToken(random)) : undefined;
    const record =
      secret === undefined ? null : secretRecord({ id: ids.next('sec'), client_id: id, secret, now });
    const { outcome } = await store.clients.create({ client: writeClient(client), secret: record });
    if (outcome === 'created') {
      await audit.record({
        action: 'client.created',
        ...caller,
        client_id: id,
        detail: { name: client.name, kind },
      });
      const shown = { ...showClient(await this.#known(id)), created: true };
      return json(201, given === undefined ? { ...shown, client_secret: secret } : shown);
    }
    const existing = if_absent ? await this.#clients.find(id) : undefined;
    if (existing) return json(200, { ...showClient(existing), created: false });
    throw new Failure('conflict', `There is a client with the id "${id}" already.`, {
      hint: 'Choose another id, or say if_absent (--if-absent) to keep the one that is there.',
    });
  }

  async show(id: string | undefined): Promise<Outgoing> {
    return json(200, showClient(await this.#known(id)));
  }

  /** A member that is null goes back to its default. */
  async update(id: string | undefined, body: unknown, caller: Caller): Promise<Outgoing> {
    const former = await this.#known(id);
    const changes = readBody(z.looseObject({}), body);
    const metadata = checkMetadata({ ...metadataBefore(former, changes), ...changes }, this.#policy);
    const { store, clock, audit } = this.#parts;
    const client = changedClient(former, metadata, 'administrator', clock.now());
    // The secret first: if the second step fails, there is one too many and not one too few.
    const secret = usesSecret(client) && !usesSecret(former) ? await this.#giveSecret(former.id) : undefined;
    const { outcome } = await store.clients.update({ client: writeClient(client) });
    if (outcome === 'unknown') throw unknown(client.id);
    const detail = { changed: Object.keys(changes) };
    await audit.record({ action: 'client.updated', ...caller, client_id: former.id, detail });
    return json(200, { ...showClient(await this.#known(former.id)), client_secret: secret });
  }

  async remove(id = '', caller: Caller): Promise<Outgoing> {
    const { store, clock, audit } = this.#parts;
    const { outcome } = await store.clients.remove({ id, now: clock.now() });
    if (outcome === 'unknown') throw unknown(id);
    await audit.record({ action: 'client.removed', ...caller, client_id: id });
    return empty(204);
  }

  async addSecret(id: string | undefined, body: unknown, caller: Caller): Promise<Outgoing> {
    const { client_secret: given, overlap } = readBody(newSecret, body ?? {});
    const client = await this.#known(id);
    if (!usesSecret(client)) throw hasNoSecret(client);
    const secret = await this.#giveSecret(client.id, given, overlap * 1000);
    await this.#parts.audit.record({
      action: 'client.secret_added',
      ...caller,
      client_id: client.id,
      detail: { overlap },
    });
    const shown = showClient(await this.#known(id));
    return json(201, given === undefined ? { ...shown, client_secret: secret } : shown);
  }

  async setStatus(id = '', status: Client['status'], caller: Caller): Promise<Outgoing> {
    const { store, clock, audit } = this.#parts;
    const { outcome } = await store.clients.setStatus({ id, status, now: clock.now() });
    if (outcome === 'unknown') throw unknown(id);
    const action = status === 'disabled' ? 'client.disabled' : 'client.enabled';
    await audit.record({ action, ...caller, client_id: id });
    return this.show(id);
  }

  async #giveSecret(clientId: string, given?: string, overlap = 0): Promise<string> {
    const { store, ids, clock, random } = this.#parts;
    const now = clock.now();
    const secret = given ?? randomToken(random);
    const { outcome } = await store.clients.addSecret({
      secret: secretRecord({ id: ids.next('sec'), client_id: clientId, secret, now }),
      former_expire_at: now + overlap,
    });
    if (outcome === 'unknown') throw unknown(clientId);
    return secret;
  }

  async #known(id = ''): Promise<Client> {
    const client = await this.#clients.find(id);
    if (!client) throw unknown(id);
    return client;
  }
}

/** What a change starts from; where it names other grants and no response types, those follow the grants. */
function metadataBefore(client: Client, changes: object): Record<string, unknown> {
  const { response_types, ...rest } = showMetadata(client, 'administrator');
  return 'grant_types' in changes ? rest : { ...rest, response_types };
}

function showClient(client: Client) {
  const { secrets } = client;
  return {
    ...showSummary(client),
    secrets: secrets.map(({ id, created_at, expires_at }) => ({ id, created_at, expires_at })),
  };
}

/** Without the secrets, which a list does not read. */
function showSummary(client: Client) {
  const { id, status, source, created_at, updated_at } = client;
  return { client_id: id, status, source, created_at, updated_at, ...showMetadata(client, 'administrator') };
}

function unknown(id: string): Failure {
  return new Failure('not_found', `There is no client with the id "${id}".`, {
    hint: 'List the clients (authserver admin client list) to see their ids.',
  });
}

function hasNoSecret(client: Pick<Client, 'token_endpoint_auth_method'>): Failure {
  return new Failure(
    'invalid_input',
    `A client with the authentication method ${client.token_endpoint_auth_method} has no secret.`,
    { hint: 'Choose client_secret_basic or client_secret_post as its token_endpoint_auth_method first.' },
  );
}

function nothingToLookFor(): Failure {
  return new Failure(
    'invalid_input',
    'if_absent needs a client_id: without one, every creation makes another client.',
    {
      hint: 'Give the client an id of your choice (--id).',
    },
  );
}
