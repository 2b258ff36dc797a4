/**
 * The canary: a client and a person made up for it, who go through the whole protocol as anybody would. What does not go as
 * the specifications say is thrown as a Failure `failed` that names the step.
 */
import { createHash, createPublicKey } from 'node:crypto';
import { Failure } from '../../kernel/errors.ts';
import { type Random, randomToken } from '../../kernel/random.ts';
import type { Algorithm } from '../../keys/jwk.ts';
import { parseJws, verifySignature } from '../../keys/jws.ts';
import { type Client, writeClient } from '../../registry/clients.ts';
import { checkMetadata } from '../../registry/metadata.ts';
import { newClient, secretRecord } from '../../registry/new-client.ts';
import { grantTypes, type Rooms } from '../compose.ts';
import type { Page, TrialBrowser } from './browser.ts';

/** What the server signs for a backup, so that a restored one can be held to it. */
export const CANARY = { typ: 'canary+jwt', aud: 'urn:authserver:canary' } as const;

/** Nobody listens there, and nobody asks: the way ends when the browser is sent to it. */
const CALLBACK = 'https://canary.invalid/callback';

type Json = Readonly<Record<string, unknown>>;

interface Subject {
  readonly client: Client;
  readonly clientSecret: string;
  readonly username: string;
  readonly password: string;
  readonly userId: string;
}

/** Makes the client and the user, and lets them sign in, redeem, refresh, introspect and revoke. */
export async function runCanary(rooms: Rooms, browser: TrialBrowser): Promise<void> {
  const metadata = await discover(browser, rooms.issuer);
  const keys = await fetchKeys(browser, metadata);
  const subject = await makeSubject(rooms);
  const run = new CanaryRun(browser, metadata, keys, subject, rooms.random);
  await run.go();
}

/** Somebody who has signed in with a browser, and an application that holds a refresh token of theirs. */
export interface TrialVisit {
  /** Whether either is still taken by the server on this socket. Failures: `failed` when it does not even know the client. */
  goesOn(socket: string): Promise<{ readonly session: boolean; readonly refresh: boolean }>;
}

/** Makes a client and a user as the canary does, lets them sign in and redeem, and leaves them so. */
export async function beginVisit(rooms: Rooms, browser: TrialBrowser): Promise<TrialVisit> {
  const metadata = await discover(browser, rooms.issuer);
  const keys = await fetchKeys(browser, metadata);
  const subject = await makeSubject(rooms);
  const parts = { metadata, keys, subject, random: rooms.random };
  let refreshToken = await runOf(browser, parts).signIn();
  return {
    async goesOn(socket) {
      const run = runOf(browser.moved(socket), parts);
      const next = await run.refresh(refreshToken);
      refreshToken = next ?? refreshToken;
      return { session: await run.isSignedIn(), refresh: next !== undefined };
    },
  };
}

interface RunParts {
  readonly metadata: Json;
  readonly keys: readonly Json[];
  readonly subject: Subject;
  readonly random: Random;
}

function runOf(browser: TrialBrowser, { metadata, keys, subject, random }: RunParts): CanaryRun {
  return new CanaryRun(browser, metadata, keys, subject, random);
}

/**
 * Holds a token that was signed before the backup to the keys that are served now.
 * Failures: `failed` when it does not verify.
 */
export async function checkOldToken(browser: TrialBrowser, issuer: string, jwt: string): Promise<void> {
  const keys = await fetchKeys(browser, await discover(browser, issuer));
  const { typ, claims } = await verify('The token from before the backup', jwt, keys);
  if (typ !== CANARY.typ || claims['aud'] !== CANARY.aud)
    throw new Failure(
      'failed',
      'The token from before the backup is another one than the server signs for it.',
    );
}

class CanaryRun {
  readonly #browser: TrialBrowser;
  readonly #metadata: Json;
  readonly #keys: readonly Json[];
  readonly #subject: Subject;
  readonly #random: Random;

  constructor(
    browser: TrialBrowser,
    metadata: Json,
    keys: readonly Json[],
    subject: Subject,
    random: Random,
  ) {
    this.#browser = browser;
    this.#metadata = metadata;
    this.#keys = keys;
    this.#subject = subject;
    this.#random = random;
  }

  /** Signs in and redeems the code; the refresh token. */
  async signIn(): Promise<string> {
    return text(await this.#firstTokens(), 'refresh_token');
  }

  /** The next refresh token; undefined where this one is refused. */
  async refresh(refreshToken: string): Promise<string | undefined> {
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken };
    const page = await this.#call('token_endpoint', form);
    if (page.status === 200) return text(json(page), 'refresh_token');
    const { error } = json(page);
    if (error === 'invalid_grant') return undefined;
    throw new Failure('failed', `The token endpoint answered ${page.status} (${String(error)}).`);
  }

  /** Whether the browser's session is enough for another code. */
  async isSignedIn(): Promise<boolean> {
    const page = await this.#browser.open(this.#request(randomToken(this.#random), { prompt: 'none' }));
    const answer = page.location?.searchParams;
    if (answer?.has('code')) return true;
    if (answer?.has('error')) return false;
    throw new Failure('failed', `The authorization endpoint answered ${page.status}.`);
  }

  async #firstTokens(): Promise<Json> {
    const verifier = randomToken(this.#random);
    const code = await this.#authorize(verifier);
    return this.#redeem('The code', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: CALLBACK,
      code_verifier: verifier,
    });
  }

  async go(): Promise<void> {
    const first = await this.#firstTokens();
    await verify('The ID token', text(first, 'id_token'), this.#keys);
    const second = await this.#redeem('The refresh token', {
      grant_type: 'refresh_token',
      refresh_token: text(first, 'refresh_token'),
    });
    const access = text(second, 'access_token');
    await this.#userinfo(access);
    await this.#expectActive('the access token', access, true);
    await this.#post('revocation_endpoint', { token: access });
    await this.#expectActive('the revoked access token', access, false);
    const refresh = text(second, 'refresh_token');
    await this.#post('revocation_endpoint', { token: refresh });
    await this.#expectActive('the revoked refresh token', refresh, false);
  }

  /** Signs in and consents; answers the code. */
  async #authorize(verifier: string): Promise<string> {
    const { username, password } = this.#subject;
    const state = randomToken(this.#random);
    const url = this.#request(verifier, { state });
    let page = await this.#browser.open(url);
    page = await this.#browser.submit(expectStatus('The sign-in page', page, 200), { username, password });
    if (page.location === undefined) {
      // Signed in, and asked for consent; the sign-in page again means that it did not go well.
      if (page.url.pathname.endsWith('/signin')) throw new Failure('failed', 'The canary could not sign in.');
      page = await this.#browser.submit(expectStatus('The consent page', page, 200), { decision: 'allow' });
    }
    const answer = page.location?.searchParams;
    const code = answer?.get('code');
    if (!code || answer?.get('state') !== state) {
      const why = answer?.get('error') ?? `status ${page.status} at ${page.url.pathname}`;
      throw new Failure('failed', `The authorization request ended without a code (${why}).`);
    }
    return code;
  }

  #request(verifier: string, more: Readonly<Record<string, string>>): URL {
    const url = new URL(text(this.#metadata, 'authorization_endpoint'));
    const request = {
      client_id: this.#subject.client.id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'openid',
      nonce: randomToken(this.#random),
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    };
    url.search = new URLSearchParams(request).toString();
    return url;
  }

  async #redeem(what: string, form: Readonly<Record<string, string>>): Promise<Json> {
    const page = await this.#post('token_endpoint', form);
    const answer = json(expectStatus(`${what} was not redeemed: the token endpoint`, page, 200));
    await verify('The access token', text(answer, 'access_token'), this.#keys);
    return answer;
  }

  async #userinfo(accessToken: string): Promise<void> {
    const page = await this.#browser.call(text(this.#metadata, 'userinfo_endpoint'), {
      headers: { authorization: `Bearer ${accessToken}` },
    });
    const { sub } = json(expectStatus('The userinfo endpoint', page, 200));
    if (sub !== this.#subject.userId)
      throw new Failure('failed', 'The userinfo endpoint speaks of somebody else.');
  }

  async #expectActive(what: string, token: string, expected: boolean): Promise<void> {
    const page = await this.#post('introspection_endpoint', { token });
    const { active } = json(expectStatus('The introspection endpoint', page, 200));
    if (active !== expected) {
      throw new Failure('failed', `Introspection calls ${what} ${active === true ? 'active' : 'inactive'}.`);
    }
  }

  async #post(endpoint: string, form: Readonly<Record<string, string>>): Promise<Page> {
    return expectStatus(`The ${endpoint.replace('_', ' ')}`, await this.#call(endpoint, form), 200);
  }

  /** As the client. */
  #call(endpoint: string, form: Readonly<Record<string, string>>): Promise<Page> {
    const { client, clientSecret } = this.#subject;
    const credentials = Buffer.from(`${client.id}:${clientSecret}`).toString('base64');
    return this.#browser.call(text(this.#metadata, endpoint), {
      form,
      headers: { authorization: `Basic ${credentials}` },
    });
  }
}

/** Both with names that chance makes: they meet nobody of the backup. */
async function makeSubject(rooms: Rooms): Promise<Subject> {
  const { users, store, ids, clock, random, config } = rooms;
  const username = `canary-${random.bytes(12).toString('hex')}`;
  const password = randomToken(random);
  const user = await users.create({ username, password });
  const metadata = checkMetadata(
    {
      client_name: 'Canary',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
    { by: 'administrator', grantTypes: grantTypes(config) },
  );
  const now = clock.now();
  const founding = { id: ids.next('cli'), source: 'admin', registration_token_hash: null, now } as const;
  const client = newClient(metadata, founding);
  const clientSecret = randomToken(random);
  const secret = secretRecord({ id: ids.next('sec'), client_id: client.id, secret: clientSecret, now });
  const { outcome } = await store.clients.create({ client: writeClient(client), secret });
  if (outcome !== 'created')
    throw new Failure('failed', `The canary's client could not be made: ${outcome}.`);
  return { client, clientSecret, username, password, userId: user.id };
}

async function discover(browser: TrialBrowser, issuer: string): Promise<Json> {
  const page = await browser.call(`${issuer}/.well-known/openid-configuration`);
  const metadata = json(expectStatus('The discovery document', page, 200));
  if (metadata['issuer'] === issuer) return metadata;
  throw new Failure('failed', 'The discovery document names another issuer than the backup.');
}

async function fetchKeys(browser: TrialBrowser, metadata: Json): Promise<readonly Json[]> {
  const page = await browser.call(text(metadata, 'jwks_uri'));
  const { keys } = json(expectStatus('The JWK set', page, 200));
  return Array.isArray(keys) ? keys.map((key: unknown) => Object(key) as Json) : [];
}

/** Checks a signature as anybody would who knows the JWK set alone. Failures: `failed`. */
async function verify(
  what: string,
  jwt: string,
  keys: readonly Json[],
): Promise<{ typ: string; claims: Json }> {
  const jws = parseJws(jwt);
  if (jws === undefined) throw new Failure('failed', `${what} is no signed token.`);
  const jwk = keys.find(({ kid }) => kid === jws.header.kid);
  if (jwk === undefined) {
    throw new Failure('failed', `${what} is signed by the key ${jws.header.kid}, which is not served.`);
  }
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  if (!(await verifySignature(jws, jwk['alg'] as Algorithm, key)))
    throw new Failure('failed', `The signature of ${lower(what)} does not hold.`);
  return { typ: jws.header.typ, claims: jws.claims };
}

/** Failures: `failed`; `unavailable` where the server says that it cannot just now, as with a full disk. */
function expectStatus(what: string, page: Page, status: number): Page {
  if (page.status === status) return page;
  if (page.status === 503) {
    throw new Failure('unavailable', `${what} answered 503: the scratch database did not take part.`, {
      hint: 'See whether the disk of the state directory, or the database server, has room. Then run it again.',
    });
  }
  throw new Failure('failed', `${what} answered ${page.status} instead of ${status}.`);
}

function json({ body, url }: Page): Json {
  try {
    return Object(JSON.parse(body)) as Json;
  } catch (cause) {
    throw new Failure('failed', `${url.pathname} does not answer in JSON.`, { cause });
  }
}

function text(answer: Json, name: string): string {
  const value = answer[name];
  if (typeof value === 'string') return value;
  throw new Failure('failed', `The server's answer lacks ${name}.`);
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
