import { z } from 'zod';
import { empty, json, type Outgoing } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import { Failure } from '../kernel/errors.ts';
import { type Resource, Resources, resourceUriFault, writeResource } from '../registry/resources.ts';
import { parseScope } from '../registry/scopes.ts';
import type { AdminParts, AdminRoute, Caller } from './admin-route.ts';
import { ifAbsent } from './page.ts';

const scope = z.strictObject({
  name: z
    .string()
    .max(128)
    .refine((name) => parseScope(name)?.length === 1, 'must be one scope token (RFC 6749 section 3.3)'),
  description: z.string().max(500).default(''),
});

const members = {
  name: z.string().min(1).max(200),
  scopes: z
    .array(scope)
    .max(500)
    .refine(
      (scopes) => new Set(scopes.map(({ name }) => name)).size === scopes.length,
      'must name each scope once',
    ),
  access_token_lifetime: z.int().min(1).max(86_400).nullable(),
};

const newResource = z.strictObject({
  uri: z
    .string()
    .refine((uri) => !resourceUriFault(uri), { error: ({ input }) => resourceUriFault(String(input)) }),
  if_absent: ifAbsent,
  ...z.object(members).partial().shape,
});

const changes = z.strictObject(members).partial();

/** /admin/resources: audiences of access tokens and their scopes. `:resource` is an id or the URI, percent-encoded. */
export function resourceRoutes(parts: AdminParts): AdminRoute[] {
  const api = new ResourceApi(parts);
  const one = '/admin/resources/:resource';
  return [
    { method: 'GET', path: '/admin/resources', body: 'none', handle: () => api.list() },
    {
      method: 'POST',
      path: '/admin/resources',
      body: 'json',
      handle: (request, caller) => api.create(request.json, caller),
    },
    { method: 'GET', path: one, body: 'none', handle: ({ params }) => api.show(params['resource']) },
    {
      method: 'PATCH',
      path: one,
      body: 'json',
      handle: (request, caller) => api.update(request.params['resource'], request.json, caller),
    },
    {
      method: 'DELETE',
      path: one,
      body: 'none',
      handle: ({ params }, caller) => api.remove(params['resource'], caller),
    },
  ];
}

class ResourceApi {
  readonly #parts: AdminParts;
  readonly #resources: Resources;

  constructor(parts: AdminParts) {
    this.#parts = parts;
    this.#resources = new Resources(parts.store.resources);
  }

  async list(): Promise<Outgoing> {
    const resources = await this.#resources.list();
    return json(200, { items: resources.map(showResource), next: null });
  }

  async create(body: unknown, caller: Caller): Promise<Outgoing> {
    const { store, ids, clock, audit } = this.#parts;
    const {
      if_absent,
      uri,
      name = uri,
      scopes = [],
      access_token_lifetime = null,
    } = readBody(newResource, body);
    const now = clock.now();
    const resource: Resource = {
      id: ids.next('res'),
      uri,
      name,
      scopes,
      access_token_lifetime: inMilliseconds(access_token_lifetime),
      created_at: now,
      updated_at: now,
    };
    const { outcome } = await store.resources.create({ resource: writeResource(resource) });
    if (outcome === 'created') {
      await audit.record({ action: 'resource.created', ...caller, detail: { id: resource.id, uri } });
      return json(201, { ...showResource(resource), created: true });
    }
    const existing = if_absent ? await this.#resources.find(uri) : undefined;
    if (existing) return json(200, { ...showResource(existing), created: false });
    throw new Failure('conflict', `There is a resource ${uri} already.`, {
      hint: 'Change that one, or say if_absent (--if-absent) to keep it as it is.',
    });
  }

  async show(key: string | undefined): Promise<Outgoing> {
    return json(200, showResource(await this.#known(key)));
  }

  async update(key: string | undefined, body: unknown, caller: Caller): Promise<Outgoing> {
    const { store, clock, audit } = this.#parts;
    const { access_token_lifetime: lifetime, ...rest } = readBody(changes, body);
    const former = await this.#known(key);
    const resource: Resource = {
      ...former,
      ...rest,
      access_token_lifetime: lifetime === undefined ? former.access_token_lifetime : inMilliseconds(lifetime),
      updated_at: clock.now(),
    };
    const { outcome } = await store.resources.update({ resource: writeResource(resource) });
    if (outcome === 'unknown') throw unknown(former.id);
    await audit.record({
      action: 'resource.updated',
      ...caller,
      detail: { id: former.id, changed: Object.keys(body as object) },
    });
    return json(200, showResource(resource));
  }

  async remove(key: string | undefined, caller: Caller): Promise<Outgoing> {
    const { id, uri } = await this.#known(key);
    const { outcome } = await this.#parts.store.resources.remove({ id });
    if (outcome === 'unknown') throw unknown(id);
    await this.#parts.audit.record({ action: 'resource.removed', ...caller, detail: { id, uri } });
    return empty(204);
  }

  async #known(key = ''): Promise<Resource> {
    const resource = (await this.#resources.list()).find(({ id, uri }) => id === key || uri === key);
    if (!resource) throw unknown(key);
    return resource;
  }
}

function showResource({ access_token_lifetime, ...resource }: Resource) {
  const seconds = access_token_lifetime === null ? null : access_token_lifetime / 1000;
  return { ...resource, access_token_lifetime: seconds };
}

function inMilliseconds(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

function unknown(key: string): Failure {
  return new Failure('not_found', `There is no resource "${key}".`, {
    hint: 'List the resources (authserver admin resource list) to see their ids and URIs.',
  });
}
