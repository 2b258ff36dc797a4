/** What is asked of every contender alike, written as the steps of one user on one connection. */
import { createHash } from 'node:crypto';
import type { Answer, Request, Steps } from './load/connection.ts';

/** The one client, its user and its API; every contender is set up with them. */
export const bench = {
  client_id: 'bench',
  client_secret: 'a-secret-of-the-bench-that-is-long-enough',
  redirect_uri: 'https://client.example/callback',
  resource: 'https://api.example/',
  scope: 'bench.read',
  username: 'bench',
  password: 'a password of the bench',
} as const;

export type EndpointPaths = Readonly<
  Record<'authorize' | 'token' | 'introspect' | 'jwks' | 'discovery', string>
>;

export interface User {
  /** Of a browser that is signed in; empty where the scenario needs none. */
  readonly cookie: string;
  readonly paths: EndpointPaths;
}

/** What a load process is told. */
export interface Load {
  readonly scenario: ScenarioName;
  readonly url: string;
  readonly paths: EndpointPaths;
  /** One a connection. */
  readonly cookies: readonly string[];
  readonly seconds: number;
}

/** What a load process saw. Latencies in ms. */
export interface Sighting {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Share of the time that the load itself was busy, 0 to 1. */
  readonly loadBusy: number;
}

interface Scenario {
  readonly title: string;
  /** Whether its users come with a session. */
  readonly signedIn: boolean;
  /** What must be there before the clock runs; its result is the first unit's state. */
  prepare(user: User): Steps<string>;
  /** What is counted, over and over; its result is the next unit's state. */
  unit(user: User, state: string): Steps<string>;
}

const CODE_VERIFIER = 'v'.repeat(43);
const CODE_CHALLENGE = createHash('sha256').update(CODE_VERIFIER).digest('base64url');

const client = { client_id: bench.client_id, client_secret: bench.client_secret };

/** The query of an authorization request with PKCE, for an ID token, a refresh token and an access token for the API. */
export const authorizationQuery = new URLSearchParams({
  response_type: 'code',
  client_id: bench.client_id,
  redirect_uri: bench.redirect_uri,
  scope: `openid ${bench.scope}`,
  resource: bench.resource,
  state: 'bench',
  code_challenge: CODE_CHALLENGE,
  code_challenge_method: 'S256',
}).toString();

export const scenarios = {
  issuance: {
    title: 'Token issuance (client credentials)',
    signedIn: false,
    prepare: nothing,
    *unit({ paths }) {
      json(yield post(paths.token, { ...clientCredentials, resource: bench.resource }));
      return '';
    },
  },
  refresh: {
    title: 'Refresh rotation',
    signedIn: true,
    prepare: (user) => codeFlow(user),
    *unit({ paths }, token) {
      const form = { grant_type: 'refresh_token', refresh_token: token, ...client };
      const next = json(yield post(paths.token, form), 'refresh_token');
      if (next === token) throw new Error('the refresh token was not rotated');
      return next;
    },
  },
  introspection: {
    title: 'Introspection of an access token',
    signedIn: false,
    *prepare({ paths }) {
      // Without a resource, because oidc-provider does not introspect the JWTs that it makes for one.
      return json(yield post(paths.token, clientCredentials), 'access_token');
    },
    *unit({ paths }, token) {
      const answer = yield post(paths.introspect, { token, ...client });
      if (json(answer, 'active') !== 'true') throw new Error(`an inactive token: ${answer.body}`);
      return token;
    },
  },
  code: {
    title: 'Code flow (authorize, then token)',
    signedIn: true,
    prepare: nothing,
    unit: (user) => codeFlow(user),
  },
  jwks: {
    title: 'JWK set',
    signedIn: false,
    prepare: nothing,
    *unit({ paths }) {
      json(yield { method: 'GET', path: paths.jwks }, 'keys');
      return '';
    },
  },
  discovery: {
    title: 'Discovery document',
    signedIn: false,
    prepare: nothing,
    *unit({ paths }) {
      json(yield { method: 'GET', path: paths.discovery }, 'issuer');
      return '';
    },
  },
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof scenarios;

const clientCredentials = { grant_type: 'client_credentials', scope: bench.scope, ...client };

// biome-ignore lint/correctness/useYield: it needs no request
function* nothing(): Steps<string> {
  return '';
}

/** From the session cookie to the tokens; returns the refresh token. */
function* codeFlow({ paths, cookie }: User): Steps<string> {
  const sent = yield { method: 'GET', path: `${paths.authorize}?${authorizationQuery}`, cookie };
  const code = URL.parse(sent.header('location') ?? '')?.searchParams.get('code');
  if (!code) throw unexpected(sent);
  const answer = yield post(paths.token, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: bench.redirect_uri,
    code_verifier: CODE_VERIFIER,
    ...client,
  });
  json(answer, 'id_token');
  return json(answer, 'refresh_token');
}

function post(path: string, form: Readonly<Record<string, string>>): Request {
  return { method: 'POST', path, form: new URLSearchParams(form).toString() };
}

/** A member of a JSON answer with status 200, as text. */
function json(answer: Answer, member = 'access_token'): string {
  const value = answer.status === 200 ? JSON.parse(answer.body)[member] : undefined;
  if (value === undefined) throw unexpected(answer);
  return String(value);
}

function unexpected({ status, body }: Answer): Error {
  return new Error(`an unexpected answer: ${status} ${body.slice(0, 500)}`);
}
