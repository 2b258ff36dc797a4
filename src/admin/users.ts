import { z } from 'zod';
import { empty, json, type Outgoing } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import type { Params } from '../http/params.ts';
import { normaliseLogin, type User } from '../identity/user.ts';
import { Failure } from '../kernel/errors.ts';
import type { AdminParts, AdminRoute, Caller } from './admin-route.ts';
import { byId, ifAbsent, listPage } from './page.ts';

const claim = z.string().max(2048);

const members = {
  email: z.string().nullable().optional(),
  email_verified: z.boolean().optional(),
};

const newUser = z.strictObject({
  ...members,
  username: z.string(),
  profile: z.record(z.string(), claim).optional(),
  password: z.string().nullable().optional(),
  if_absent: ifAbsent,
});

const changes = z.strictObject({
  ...members,
  username: z.string().optional(),
  /** Claims that are not named stay; null takes one away (RFC 7396). */
  profile: z.record(z.string(), claim.nullable()).optional(),
});
const newPassword = z.strictObject({ password: z.string() });

/** /admin/users: people who can sign in. `:user` is an id or a user name. */
export function userRoutes(parts: AdminParts): AdminRoute[] {
  const api = new UserApi(parts);
  const one = '/admin/users/:user';
  return [
    { method: 'GET', path: '/admin/users', body: 'none', handle: ({ query }) => api.list(query) },
    {
      method: 'POST',
      path: '/admin/users',
      body: 'json',
      handle: (request, caller) => api.create(request.json, caller),
    },
    { method: 'GET', path: one, body: 'none', handle: ({ params }) => api.show(params['user']) },
    {
      method: 'PATCH',
      path: one,
      body: 'json',
      handle: (request, caller) => api.update(request.params['user'], request.json, caller),
    },
    {
      method: 'DELETE',
      path: one,
      body: 'none',
      handle: ({ params }, caller) => api.remove(params['user'], caller),
    },
    {
      method: 'POST',
      path: `${one}/disable`,
      body: 'none',
      handle: ({ params }, caller) => api.setStatus(params['user'], 'disabled', caller),
    },
    {
      method: 'POST',
      path: `${one}/enable`,
      body: 'none',
      handle: ({ params }, caller) => api.setStatus(params['user'], 'active', caller),
    },
    {
      method: 'POST',
      path: `${one}/password`,
      body: 'json',
      handle: (request, caller) => api.setPassword(request.params['user'], request.json, caller),
    },
    {
      method: 'POST',
      path: `${one}/sessions/end`,
      body: 'none',
      handle: ({ params }, caller) => api.endSessions(params['user'], caller),
    },
  ];
}

class UserApi {
  readonly #parts: AdminParts;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  async list(query: Params): Promise<Outgoing> {
    const { users } = this.#parts;
    const page = await listPage(query, {
      ...byId(query),
      read: (page) => users.list(page),
      show: (user: User) => user,
    });
    return json(200, page);
  }

  async create(body: unknown, caller: Caller): Promise<Outgoing> {
    const { users, audit } = this.#parts;
    const { if_absent, password = null, ...input } = readBody(newUser, body);
    const existing = if_absent ? await this.#named(input.username) : undefined;
    if (existing) return json(200, { ...existing, created: false });
    try {
      const user = await users.create({ ...input, password });
      await audit.record({
        action: 'user.created',
        ...caller,
        user_id: user.id,
        detail: { username: user.username },
      });
      return json(201, { ...user, created: true });
    } catch (error) {
      // Somebody else may have been quicker with the same name; that is what if_absent is for.
      const winner = if_absent && isConflict(error) ? await this.#named(input.username) : undefined;
      if (winner) return json(200, { ...winner, created: false });
      throw error;
    }
  }

  async show(key: string | undefined): Promise<Outgoing> {
    return json(200, await this.#known(key));
  }

  async update(key: string | undefined, body: unknown, caller: Caller): Promise<Outgoing> {
    const { profile, ...rest } = readBody(changes, body);
    const former = await this.#known(key);
    const { id } = former;
    const user = await this.#parts.users.update(id, {
      ...rest,
      profile: mergeClaims(former.profile, profile),
    });
    await this.#parts.audit.record({
      action: 'user.updated',
      ...caller,
      user_id: id,
      detail: { changed: Object.keys(body as object) },
    });
    return json(200, user);
  }

  async remove(key: string | undefined, caller: Caller): Promise<Outgoing> {
    const { id, username } = await this.#known(key);
    await this.#parts.users.remove(id);
    await this.#parts.audit.record({ action: 'user.removed', ...caller, user_id: id, detail: { username } });
    return empty(204);
  }

  async setStatus(key: string | undefined, status: User['status'], caller: Caller): Promise<Outgoing> {
    const { id } = await this.#known(key);
    await this.#parts.users.setStatus(id, status);
    const action = status === 'disabled' ? 'user.disabled' : 'user.enabled';
    await this.#parts.audit.record({ action, ...caller, user_id: id });
    return this.show(id);
  }

  async setPassword(key: string | undefined, body: unknown, caller: Caller): Promise<Outgoing> {
    const { password } = readBody(newPassword, body);
    const { id } = await this.#known(key);
    await this.#parts.users.setPassword(id, password);
    await this.#parts.audit.record({ action: 'user.password_changed', ...caller, user_id: id });
    return this.show(id);
  }

  async endSessions(key: string | undefined, caller: Caller): Promise<Outgoing> {
    const { id } = await this.#known(key);
    const ended = await this.#parts.sessions.endAll(id);
    await this.#parts.audit.record({
      action: 'session.all_ended',
      ...caller,
      user_id: id,
      detail: { ended },
    });
    return json(200, { ended });
  }

  /** Whoever has this user name; an e-mail address of somebody is not one. */
  async #named(username: string): Promise<User | undefined> {
    const found = await this.#parts.users.findByLogin(username);
    return found?.user.username === normaliseLogin(username) ? found.user : undefined;
  }

  async #known(key = ''): Promise<User> {
    const user = (await this.#parts.users.find(key)) ?? (await this.#named(key));
    if (user) return user;
    throw new Failure('not_found', `There is no user "${key}".`, {
      hint: 'List the users (authserver admin user list) to see their ids and names.',
    });
  }
}

function mergeClaims(
  former: User['profile'],
  changes: Readonly<Record<string, string | null>> = {},
): User['profile'] {
  const merged = Object.entries({ ...former, ...changes });
  return Object.fromEntries(merged.filter((entry): entry is [string, string] => entry[1] !== null));
}

function isConflict(error: unknown): boolean {
  return error instanceof Failure && error.code === 'conflict';
}
