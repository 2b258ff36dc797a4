import { empty, json, type Outgoing } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import { Failure } from '../kernel/errors.ts';
import {
  changedResource,
  newResource,
  type Resource,
  type Resources,
  resourceChanges,
  resourceFounding,
  showResource,
  writeResource,
} from '../registry/resources.ts';
import type { AdminParts, AdminRoute, Caller } from './admin-route.ts';
import { ifAbsent } from './page.ts';

const newResourceBody = resourceFounding.extend({ if_absent: ifAbsent });

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
    this.#resources = parts.resources;
  }

  async list(): Promise<Outgoing> {
    const resources = await this.#resources.list();
    return json(200, { items: resources.map(showResource), next: null });
  }

  async create(body: unknown, caller: Caller): Promise<Outgoing> {
    const { store, ids, clock, audit } = this.#parts;
    const { if_absent, ...said } = readBody(newResourceBody, body);
    const resource = newResource(said, { id: ids.next('res'), now: clock.now() });
    const { uri } = resource;
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
    const changes = readBody(resourceChanges, body);
    const former = await this.#known(key);
    const resource = changedResource(former, changes, clock.now());
    const { outcome } = await store.resources.update({ resource: writeResource(resource) });
    if (outcome === 'unknown') throw unknown(former.id);
    await audit.record({
      action: 'resource.updated',
      ...caller,
      detail: { id: former.id, changed: Object.keys(changes) },
    });
    return json(200, showResource(resource));
  }

  async remove(key: string | undefined, caller: Caller): Promise<Outgoing> {
    const { id, uri } = await this.#known(key);
    const { store, clock, audit } = this.#parts;
    const { outcome } = await store.resources.remove({ id, now: clock.now() });
    if (outcome === 'unknown') throw unknown(id);
    await audit.record({ action: 'resource.removed', ...caller, detail: { id, uri } });
    return empty(204);
  }

  async #known(key = ''): Promise<Resource> {
    const resource = (await this.#resources.list()).find(({ id, uri }) => id === key || uri === key);
    if (!resource) throw unknown(key);
    return resource;
  }
}

function unknown(key: string): Failure {
  return new Failure('not_found', `There is no resource "${key}".`, {
    hint: 'List the resources (authserver admin resource list) to see their ids and URIs.',
  });
}
