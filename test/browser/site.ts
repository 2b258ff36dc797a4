// Owns a small server with nothing but the pages on it, over a real store: what a page test visits. The flow that the
// protocol would drive is played by a resume route which asks for consent, then sends the browser to the client.

import type { FastifyInstance } from 'fastify';
import type { AuditEntry } from '../../src/audit/trail.ts';
import { paths } from '../../src/flow/paths.ts';
import type { PostLogout } from '../../src/flow/post-logout.ts';
import { type AuthorizationRequest, AuthorizationRequests } from '../../src/flow/requests.ts';
import { type Incoming, type Outgoing, type Route, redirect } from '../../src/http/exchange.ts';
import { mount } from '../../src/http/mount.ts';
import { makeServer } from '../../src/http/server.ts';
import { Lockout } from '../../src/identity/lockout.ts';
import { PasswordHasher } from '../../src/identity/passwords.ts';
import { Sessions } from '../../src/identity/sessions.ts';
import { PasswordSignIn } from '../../src/identity/sign-in.ts';
import { Users } from '../../src/identity/users.ts';
import { makeIds } from '../../src/kernel/ids.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { type Client, Clients, writeClient } from '../../src/registry/clients.ts';
import { type Resource, Resources, writeResource } from '../../src/registry/resources.ts';
import { makeErrorPage } from '../../src/signin/error.ts';
import { Pages } from '../../src/signin/pages.ts';
import { signinRoutes } from '../../src/signin/routes.ts';
import type { Store } from '../../src/store/store.ts';
import { type Engine, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';

export const PREFIX = '/auth';
export const PASSWORD = 'correct horse battery staple';
export const NOTES_API = 'https://notes.example/api';

/** Password hashing that costs next to nothing. */
export const HASHING = { memory: 64, passes: 1, parallelism: 1, concurrency: 2 };
export const LOCKOUT = { limit: 10, window: 10 * 60_000, lockout: 15 * 60_000 };

/** A clock that stands at the real time until a test moves it. */
export class MovableClock {
  #ahead = 0;
  now(): number {
    return Date.now() + this.#ahead;
  }
  advance(ms: number): void {
    this.#ahead += ms;
  }
}

export interface Site extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly store: Store;
  readonly clock: MovableClock;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly hasher: PasswordHasher;
  readonly requests: AuthorizationRequests;
  readonly events: readonly AuditEntry[];
  /** Handles that signing out may follow. */
  readonly postLogouts: Map<string, PostLogout>;
}

export async function openSite(engine: Engine): Promise<Site> {
  const fresh = await freshStorage(engine);
  const clock = new MovableClock();
  const random = systemRandom;
  const ids = makeIds(clock, random);
  const store = await openFreshStore(storageChoice(fresh), clock);
  const events: AuditEntry[] = [];
  const record = async (event: AuditEntry) => void events.push(event);
  const postLogouts = new Map<string, PostLogout>();

  const hasher = new PasswordHasher(HASHING);
  const users = new Users({ store: store.users, hasher, clock, ids });
  const lifetimes = { idle: 3_600_000, absolute: 86_400_000 };
  const sessions = new Sessions({ store: store.sessions, clock, random, ids, lifetimes });
  const lockout = new Lockout({ store: store.loginFailures, clock, options: LOCKOUT });
  const signIn = new PasswordSignIn({ users, hasher, lockout, sessions, record, log: silentLog });
  const requests = new AuthorizationRequests({ store: store.requests, clock, random });
  const pages = new Pages({ prefix: PREFIX, productName: 'Example ID' });

  const routes = signinRoutes({
    issuer: `http://127.0.0.1${PREFIX}`,
    prefix: PREFIX,
    pages,
    signIn,
    sessions,
    requests,
    clients: new Clients(store.clients),
    resources: new Resources(store.resources),
    consents: store.consents,
    families: store.families,
    resolvePostLogout: async (handle) => postLogouts.get(handle),
    audit: { record },
    clock,
    random,
  });
  const app = makeServer({ bodyLimit: 65_536, trustedProxies: [], requestTimeout: 10_000, random });
  const errorPage = makeErrorPage(pages);
  mount(app, [...routes, resumeRoute(requests)], {
    prefix: PREFIX,
    log: silentLog,
    secure: false,
    via: 'tcp',
    allowedOrigins: [],
    errorPage,
  });
  const dispose = async () => {
    await app.close();
    await store.close();
    await fresh.dispose();
  };
  return {
    app,
    store,
    clock,
    users,
    sessions,
    hasher,
    requests,
    events,
    postLogouts,
    [Symbol.asyncDispose]: dispose,
  };
}

function resumeRoute(requests: AuthorizationRequests): Route {
  const handle = async ({ query }: Incoming): Promise<Outgoing> => {
    const name = query.get('request') ?? '';
    const stored = await requests.find(name);
    if (!stored) return { status: 400, body: 'no such request' };
    const { decision, request } = stored;
    if (!decision) return redirect(`${PREFIX}${paths.consent}?request=${name}`);
    return redirect(
      `${request.redirect_uri}?outcome=${decision.outcome}&scope=${encodeURIComponent(decision.scope)}`,
    );
  };
  return { method: 'GET', path: paths.resume, kind: 'page', body: 'none', handle };
}

/** Adds a client; what a test does not say is that of a web application. */
export async function addClient(site: Site, given: Partial<Client> & { id: string }): Promise<Client> {
  const client: Client = {
    name: 'Notes',
    application_type: 'web',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: ['https://notes.example/callback'],
    post_logout_redirect_uris: [],
    scope: '',
    audiences: [],
    jwks: null,
    require_pkce: true,
    skip_consent: false,
    access_token_lifetime: null,
    refresh_token_lifetime: null,
    refresh_token_absolute_lifetime: null,
    client_uri: null,
    logo_uri: null,
    policy_uri: null,
    tos_uri: null,
    contacts: [],
    source: 'admin',
    status: 'active',
    registration_token_hash: null,
    created_at: 1,
    updated_at: 1,
    secrets: [],
    ...given,
  };
  await site.store.clients.create({ client: writeClient(client), secret: null });
  return client;
}

export async function addNotesApi(site: Site): Promise<Resource> {
  const resource: Resource = {
    id: 'res_notes',
    uri: NOTES_API,
    name: 'Notes API',
    scopes: [
      { name: 'notes.read', description: 'Read your notes' },
      { name: 'notes.write', description: 'Write and delete your notes' },
    ],
    access_token_lifetime: null,
    created_at: 1,
    updated_at: 1,
  };
  await site.store.resources.create({ resource: writeResource(resource) });
  return resource;
}

/** Stores an authorization request as the protocol would; answers its handle. */
export function ask(
  site: Site,
  given: Partial<AuthorizationRequest> & { client_id: string },
): Promise<string> {
  return site.requests.save({
    redirect_uri: 'https://notes.example/callback',
    response_mode: 'query',
    scope: 'openid profile',
    resources: [],
    state: null,
    nonce: null,
    code_challenge: 'x',
    prompt: [],
    max_age: null,
    login_hint: null,
    subject: null,
    claims_json: null,
    ...given,
  });
}
