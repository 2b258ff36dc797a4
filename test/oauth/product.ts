// Owns the whole public server in this process, over the real store of an engine and a clock that tests move: what the
// protocol tests call. Requests go through the same listener, routes and edge as over a socket.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { openRooms, type Rooms } from '../../src/app/compose.ts';
import { type Config, loadConfig } from '../../src/app/config.ts';
import { storageChoice } from '../../src/app/database.ts';
import { openMetrics } from '../../src/app/metrics/metrics.ts';
import { migrateSchema, openStore, type StorageChoice } from '../../src/app/open-store.ts';
import { makePublicServer } from '../../src/app/public-server.ts';
import { sha256 } from '../../src/kernel/bytes.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { type Client, writeClient } from '../../src/registry/clients.ts';
import { type ClientMetadata, checkMetadata } from '../../src/registry/metadata.ts';
import { newClient, secretRecord } from '../../src/registry/new-client.ts';
import type { ResourceScope } from '../../src/registry/resources.ts';
import { writeResource } from '../../src/registry/resources.ts';
import { type Engine, freshStorage } from '../setup/engines.ts';
import { QUICK } from '../setup/quick.ts';

export const ISSUER = 'https://issuer.example/auth';
export const CALLBACK = 'https://app.example/callback';
export const PASSWORD = 'correct horse battery staple';
export const SECRET = 'a client secret of more than 32 characters';

export type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
  /** The redirect's target, where there is one. */
  readonly location: URL | undefined;
}

export interface Call {
  readonly form?: Fields;
  readonly json?: unknown;
  /** A body as it is, with its content type in the headers. */
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A time that stands still until a test moves it. */
export class TestClock {
  time = Date.UTC(2030, 0, 1);
  now(): number {
    return this.time;
  }
  /** @param seconds how far */
  advance(seconds: number): void {
    this.time += seconds * 1000;
  }
}

export class Product {
  readonly rooms: Rooms;
  readonly clock: TestClock;
  readonly #app: FastifyInstance;
  readonly #dispose: () => Promise<void>;

  private constructor(rooms: Rooms, clock: TestClock, app: FastifyInstance, dispose: () => Promise<void>) {
    this.rooms = rooms;
    this.clock = clock;
    this.#app = app;
    this.#dispose = dispose;
  }

  /** @param env more settings, as `AUTHSERVER_*` variables */
  static async open(engine: Engine, env: Readonly<Record<string, string>> = {}): Promise<Product> {
    const storage = await freshStorage(engine);
    const stateDir = await mkdtemp(path.join(tmpdir(), 'authserver-product-'));
    const { config } = await loadConfig({
      file: undefined,
      terminal: false,
      env: {
        AUTHSERVER_STATE_DIR: stateDir,
        AUTHSERVER_SERVER_ISSUER: ISSUER,
        AUTHSERVER_STORAGE_DRIVER: storage.driver,
        ...(storage.driver === 'postgres' && { AUTHSERVER_STORAGE_POSTGRES_DSN: storage.dsn }),
        ...QUICK,
        AUTHSERVER_RATE_LIMIT_REQUESTS_PER_SECOND: '100000',
        AUTHSERVER_RATE_LIMIT_BURST: '100000',
        ...env,
      },
    });
    return Product.on(config, storageChoice(config), new TestClock(), async () => {
      await storage.dispose();
      await rm(stateDir, { recursive: true, force: true });
    });
  }

  /** The same on a database that is there, which need not be the one of the settings. */
  static async on(
    config: Config,
    storage: StorageChoice,
    clock: TestClock,
    clear: () => Promise<void> = async () => undefined,
  ): Promise<Product> {
    await migrateSchema(storage, { clock, random: systemRandom });
    // Counted as in the real thing: a name or a label that the table of metrics lacks is a failure here.
    const metrics = await openMetrics(config, { clock, log: silentLog });
    const store = await openStore(storage, silentLog, metrics.meter);
    const rooms = await openRooms(config, store, silentLog, {
      clock,
      random: systemRandom,
      metrics,
    });
    const well = async () => ({ ok: true }) as const;
    const app = makePublicServer(rooms, { database: well, schema: well, keys: well });
    await app.ready();
    return new Product(rooms, clock, app, async () => {
      await app.close();
      await metrics.close();
      await rooms.close();
      await clear();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dispose();
  }

  /** Calls an address below the issuer; one that begins with `//` at the root of the host. */
  async call(method: string, address: string, call: Call = {}): Promise<Answer> {
    const url = address.startsWith('//') ? address.slice(1) : new URL(ISSUER).pathname + address;
    const { payload, type } = payloadOf(call);
    const response = await this.#app.inject({
      method: method as 'GET',
      url,
      ...(payload !== undefined && { payload }),
      headers: { ...(type && { 'content-type': type }), ...call.headers },
    });
    const headers = Object.fromEntries(
      Object.entries(response.headers).map(([name, value]) => [
        name,
        value === undefined ? undefined : String(value),
      ]),
    );
    const isJson = headers['content-type']?.includes('json') ?? false;
    return {
      status: response.statusCode,
      headers,
      body: response.body,
      json: isJson && response.body !== '' ? JSON.parse(response.body) : undefined,
      location: headers.location === undefined ? undefined : new URL(headers.location, ISSUER),
    };
  }

  get(address: string, headers?: Readonly<Record<string, string>>): Promise<Answer> {
    return this.call('GET', address, headers && { headers });
  }

  post(address: string, form: Fields, headers?: Readonly<Record<string, string>>): Promise<Answer> {
    return this.call('POST', address, { form, ...(headers && { headers }) });
  }

  /** The token endpoint, as this client by its own authentication method. */
  token(client: Client, form: Fields): Promise<Answer> {
    return this.as(client, '/oauth/token', form);
  }

  /** Posts a form as this client. */
  as(client: Client, address: string, form: Fields): Promise<Answer> {
    if (client.token_endpoint_auth_method === 'none')
      return this.post(address, { client_id: client.id, ...form });
    if (client.token_endpoint_auth_method === 'client_secret_basic')
      return this.post(address, form, basic(client.id, SECRET));
    return this.post(address, { client_id: client.id, client_secret: SECRET, ...form });
  }

  /** Redeems a code as its client does; `form` adds to the request or takes from it. */
  redeem(
    client: Client,
    { code, verifier }: { readonly code: string; readonly verifier: string },
    form: Fields = {},
  ): Promise<Answer> {
    return this.token(client, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: client.redirect_uris[0],
      code_verifier: verifier,
      ...form,
    });
  }

  refresh(client: Client, refreshToken: string, form: Fields = {}): Promise<Answer> {
    return this.token(client, { grant_type: 'refresh_token', refresh_token: refreshToken, ...form });
  }

  /** Whether introspection calls a token active when this client asks. */
  async isActive(client: Client, token: string): Promise<boolean> {
    return (await this.as(client, '/oauth/introspect', { token })).json.active;
  }

  /** A registered client: a confidential web application with refresh tokens, unless the metadata says otherwise. */
  async client(metadata: Readonly<Record<string, unknown>> = {}): Promise<Client> {
    const checked: ClientMetadata = checkMetadata(
      {
        client_name: 'Example App',
        redirect_uris: [CALLBACK],
        grant_types: ['authorization_code', 'refresh_token'],
        ...metadata,
      },
      { by: 'administrator', grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'] },
    );
    const { ids, store } = this.rooms;
    const now = this.clock.now();
    const client = newClient(checked, {
      id: ids.next('cli'),
      source: 'admin',
      registration_token_hash: null,
      now,
    });
    const secret = secretRecord({ id: ids.next('sec'), client_id: client.id, secret: SECRET, now });
    const { outcome } = await store.clients.create({ client: writeClient(client), secret });
    if (outcome !== 'created') throw new Error(`client ${outcome}`);
    return { ...client, secrets: [secret] };
  }

  /** A service that acts for itself, with this scope as its ceiling. */
  service(scope = '', metadata: Readonly<Record<string, unknown>> = {}): Promise<Client> {
    return this.client({
      application_type: 'service',
      redirect_uris: [],
      grant_types: ['client_credentials'],
      scope,
      ...metadata,
    });
  }

  async resource(
    uri: string,
    scopes: readonly (string | ResourceScope)[] = ['read', 'write'],
    lifetime: number | null = null,
  ) {
    const { ids, store } = this.rooms;
    const now = this.clock.now();
    const catalogue = scopes.map((scope) =>
      typeof scope === 'string' ? { name: scope, description: '' } : scope,
    );
    const resource = {
      id: ids.next('res'),
      uri,
      name: 'An API',
      scopes: catalogue,
      access_token_lifetime: lifetime,
      created_at: now,
      updated_at: now,
    };
    await store.resources.create({ resource: writeResource(resource) });
    return resource;
  }

  /** An initial access token (RFC 7591 section 3) for so many registrations within so many seconds, vouching for this scope. */
  async initialAccessToken(uses: number | null = 1, seconds = 3600, scope = ''): Promise<string> {
    const { ids, store } = this.rooms;
    const now = this.clock.now();
    const token = randomBytes(32).toString('base64url');
    const expires_at = now + seconds * 1000;
    const record = { id: ids.next('iat'), note: '', scope, uses_left: uses, created_at: now, expires_at };
    await store.registrations.saveInitialToken({ token: { ...record, token_hash: sha256(token) } });
    return token;
  }

  /** Disables a client (or enables it again), as an administrator would. */
  async setClientStatus(client: Client, status: Client['status']): Promise<void> {
    await this.rooms.store.clients.setStatus({ id: client.id, status, now: this.clock.now() });
  }

  /** A new user with the password `PASSWORD`. */
  user(username = `user-${randomBytes(4).toString('hex')}`) {
    return this.rooms.users.create({
      username,
      password: PASSWORD,
      email: `${username}@example.com`,
      email_verified: true,
      profile: { name: 'Alice Example', given_name: 'Alice' },
    });
  }

  /** A browser in which nobody is signed in. */
  browser(): Browser {
    return new Browser(this);
  }

  /** A browser in which this user has signed in. */
  async signedIn(username: string): Promise<Browser> {
    const browser = this.browser();
    const page = await browser.get('/signin');
    await browser.submit(page, { username, password: PASSWORD });
    if (browser.cookie('session') === undefined) throw new Error('the sign-in did not open a session');
    return browser;
  }

  /** The whole code flow up to the token answer, with consent to everything asked for. */
  async grant(
    client: Client,
    options: { browser?: Browser; username?: string; ask?: Fields; token?: Fields } = {},
  ) {
    const browser =
      options.browser ?? (await this.signedIn(options.username ?? (await this.user()).username));
    const { code, verifier, back } = await browser.authorize(client, options.ask);
    const answer = await this.redeem(client, { code, verifier }, options.token);
    return { browser, code, verifier, back, answer, tokens: answer.json };
  }
}

/** A person's browser: keeps cookies, follows nothing by itself, sends forms back. */
export class Browser {
  readonly #product: Product;
  readonly #jar = new Map<string, string>();

  constructor(product: Product) {
    this.#product = product;
  }

  /** The value of one of our cookies, by its name without the prefix. */
  cookie(name: string): string | undefined {
    return this.#jar.get(`__Host-authserver_${name}`);
  }

  async send(method: string, address: string, form?: Fields): Promise<Answer> {
    const cookie = [...this.#jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await this.#product.call(method, address, {
      ...(form && { form }),
      headers: cookie ? { cookie } : {},
    });
    this.#keep(answer.headers['set-cookie']);
    return answer;
  }

  get(address: string): Promise<Answer> {
    return this.send('GET', address);
  }

  /** Follows a redirect that stays with us. */
  follow(answer: Answer): Promise<Answer> {
    if (!answer.location) throw new Error(`no redirect, but ${answer.status}: ${answer.body}`);
    return this.get(ownAddress(answer.location.href));
  }

  /**
   * Sends the first form of a page back, with these fields over the ones that are filled in already.
   * @param to a part of the form's address, where the page has several
   */
  submit(page: Answer, fields: Fields, to = ''): Promise<Answer> {
    const forms = [...page.body.matchAll(/<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/gs)];
    const [, action, inside = ''] = forms.find(([, address]) => address?.includes(to)) ?? [];
    if (action === undefined) throw new Error(`no form in ${page.status}: ${page.body}`);
    const filled: Record<string, string[]> = {};
    for (const [input] of inside.matchAll(/<input [^>]*>/g)) {
      const name = / name="([^"]*)"/.exec(input)?.[1];
      const isOff = input.includes('type="checkbox"') && !input.includes(' checked');
      if (name === undefined || isOff) continue;
      filled[name] = [...(filled[name] ?? []), / value="([^"]*)"/.exec(input)?.[1] ?? ''];
    }
    return this.send('POST', ownAddress(new URL(action, ISSUER).href), { ...filled, ...fields });
  }

  /** Opens the authorization endpoint; the request has everything that it needs unless `ask` says otherwise. */
  async ask(client: Client, ask: Fields = {}): Promise<{ answer: Answer; verifier: string }> {
    const verifier = newVerifier();
    const request = query({ ...authorizationRequest(client, verifier), ...ask });
    return { answer: await this.get(`/oauth/authorize?${request}`), verifier };
  }

  /** The whole way to a code: signs in where asked (`username`), consents to everything. */
  async authorize(
    client: Client,
    ask: Fields = {},
    username?: string,
  ): Promise<{ code: string; verifier: string; back: URL }> {
    const { answer, verifier } = await this.ask(client, ask);
    const back = await this.walk(answer, username);
    const code = back.searchParams.get('code');
    if (code === null) throw new Error(`no code: ${back.href}`);
    return { code, verifier, back };
  }

  /** Goes through our pages until the client's own address is reached; answers that. */
  async walk(answer: Answer, username?: string): Promise<URL> {
    let at = answer;
    for (let step = 0; step < 8; step++) {
      if (!at.location) throw new Error(`stuck at ${at.status}: ${at.body}`);
      if (!at.location.href.startsWith(ISSUER)) return at.location;
      const { pathname } = at.location;
      const page = await this.follow(at);
      if (pathname.endsWith('/signin')) at = await this.submit(page, { username, password: PASSWORD });
      else if (pathname.endsWith('/consent')) at = await this.submit(page, { decision: 'allow' });
      else at = page;
    }
    throw new Error('the way through the pages does not end');
  }

  #keep(header: string | undefined): void {
    for (const line of header?.split(/,(?=[^ ;]+=)/) ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) this.#jar.delete(name);
      else this.#jar.set(name, value);
    }
  }
}

/** The parameters of an authorization request that leaves nothing to be desired. */
export function authorizationRequest(client: Client, verifier = newVerifier()): Fields {
  return {
    client_id: client.id,
    redirect_uri: client.redirect_uris[0],
    response_type: 'code',
    scope: 'openid',
    state: 'a state',
    nonce: 'a nonce',
    code_challenge: challengeOf(verifier),
    code_challenge_method: 'S256',
  };
}

export function newVerifier(): string {
  return randomBytes(32).toString('base64url');
}

export function challengeOf(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

/** HTTP Basic as RFC 6749 section 2.3.1 wants it: both parts form-urlencoded first. */
export function basic(id: string, secret: string): { authorization: string } {
  const encoded = [id, secret].map((part) => new URLSearchParams({ '': part }).toString().slice(1)).join(':');
  return { authorization: `Basic ${Buffer.from(encoded).toString('base64')}` };
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}

export function query(fields: Fields): string {
  const params = new URLSearchParams();
  for (const [name, values] of Object.entries(fields)) {
    if (values === undefined) continue;
    for (const value of [values].flat()) params.append(name, value as string);
  }
  return params.toString();
}

/** The claims of a JWT, unchecked. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into claims of every shape
export function claimsOf(jwt: string): any {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
}

function ownAddress(href: string): string {
  if (!href.startsWith(ISSUER)) throw new Error(`not ours: ${href}`);
  return href.slice(ISSUER.length);
}

function payloadOf({ form, json, body }: Call): { payload?: string | Buffer; type?: string } {
  if (form) return { payload: query(form), type: 'application/x-www-form-urlencoded' };
  if (json !== undefined) return { payload: JSON.stringify(json), type: 'application/json' };
  return body === undefined ? {} : { payload: body };
}
