// Owns one or more requests that work, for every route that asks for something: damage to them reaches further in than
// nonsense would. A route without samples here, such as a new one, is still shot at, with nothing to damage.

import { csrfToken } from '../../src/http/csrf.ts';
import type { Route } from '../../src/http/exchange.ts';
import {
  authorizationRequest,
  type Browser,
  basic,
  bearer,
  CALLBACK,
  newVerifier,
  PASSWORD,
  type Product,
  SECRET,
} from '../oauth/product.ts';
import { API, adminSamples, KEYED, METADATA } from './admin-samples.ts';
import type { Sample, SampleMaker } from './request.ts';

/** Requests to this route that work right now, or say themselves that they do not; none for a route unknown here. */
export async function samplesOf({ method, path }: Route, product: Product): Promise<readonly Sample[]> {
  const make = MAKERS[`${method} ${path}`];
  return make ? make(product) : [];
}

const JSON_CLAIMS = '{"userinfo":{"email":null},"id_token":{"auth_time":{"essential":true}}}';

async function client(product: Product) {
  return product.client({
    token_endpoint_auth_method: 'client_secret_post',
    post_logout_redirect_uris: [CALLBACK],
  });
}

const proof = (id: string) => ({ client_id: id, client_secret: SECRET });

/** Somebody who is signed in, and the cookies that say so. */
async function visitor(product: Product) {
  const user = await product.user();
  const browser = await product.signedIn(user.username);
  return { user, browser, headers: cookies(browser) };
}

function cookies(browser: Browser): { cookie: string } {
  const pairs = ['session', 'browser'].map(
    (name) => `__Host-authserver_${name}=${browser.cookie(name) ?? ''}`,
  );
  return { cookie: pairs.join('; ') };
}

function csrf(browser: Browser, purpose: string): string {
  return csrfToken(browser.cookie('browser') ?? '', purpose);
}

async function fullRequest(product: Product) {
  await product.resource(API);
  const app = await client(product);
  const { browser, headers } = await visitor(product);
  const { tokens } = await product.grant(app, { browser });
  const parameters = {
    ...(authorizationRequest(app, newVerifier()) as Record<string, string>),
    scope: 'openid email read',
    resource: API,
    response_mode: 'query',
    prompt: 'consent',
    max_age: '60',
    login_hint: 'alice',
    id_token_hint: tokens.id_token,
    claims: JSON_CLAIMS,
    ui_locales: 'en',
  };
  return { parameters, headers };
}

async function tokens(product: Product) {
  const app = await client(product);
  const { browser } = await visitor(product);
  const granted = await product.grant(app, { browser });
  return {
    app,
    browser,
    ...(granted.tokens as Record<'access_token' | 'refresh_token' | 'id_token', string>),
  };
}

/** A request that waits for a person, and the person. */
async function waiting(product: Product) {
  const app = await client(product);
  const { user, browser, headers } = await visitor(product);
  const { answer } = await browser.ask(app, { prompt: 'consent', scope: 'openid email' });
  const handle = answer.location?.searchParams.get('request') ?? '';
  const [session] = await product.rooms.sessions.list(user.id);
  return { app, user, browser, headers, handle, session: session?.id ?? '' };
}

async function logout(product: Product) {
  const { app, browser, id_token } = await tokens(product);
  const wish = {
    id_token_hint: id_token,
    client_id: app.id,
    post_logout_redirect_uri: CALLBACK,
    state: 'a',
    ui_locales: 'en',
  };
  return { wish, headers: cookies(browser) };
}

async function registered(product: Product) {
  const { json } = await product.call('POST', '/oauth/register', { json: METADATA });
  return { params: { client_id: json.client_id }, headers: bearer(json.registration_access_token), json };
}

const MAKERS: Readonly<Record<string, SampleMaker>> = {
  'GET /oauth/authorize': async (product) => {
    const { parameters, headers } = await fullRequest(product);
    return [{ query: parameters, headers }];
  },
  'POST /oauth/authorize': async (product) => {
    const { parameters, headers } = await fullRequest(product);
    return [{ form: parameters, headers }];
  },
  'GET /oauth/authorize/resume': async (product) => {
    const { handle, headers } = await waiting(product);
    return [{ query: { request: handle }, headers }];
  },
  'POST /oauth/token': async (product): Promise<readonly Sample[]> => {
    const { app, browser, refresh_token } = await tokens(product);
    const { code, verifier } = await browser.authorize(app);
    await product.resource(API);
    const service = await product.service('read', { token_endpoint_auth_method: 'client_secret_post' });
    const keyed = await product.client(KEYED);
    const assertion = ['{"alg":"EdDSA"}', JSON.stringify({ iss: keyed.id, sub: keyed.id }), 'signature'];
    return [
      {
        form: {
          grant_type: 'authorization_code',
          ...proof(app.id),
          code,
          code_verifier: verifier,
          redirect_uri: CALLBACK,
        },
      },
      { form: { grant_type: 'refresh_token', ...proof(app.id), refresh_token, scope: 'openid' } },
      { form: { grant_type: 'client_credentials', ...proof(service.id), scope: 'read', resource: API } },
      {
        refused: true,
        form: {
          grant_type: 'client_credentials',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion.map((part) => Buffer.from(part).toString('base64url')).join('.'),
        },
      },
      { refused: true, form: { grant_type: 'refresh_token', refresh_token }, headers: basic(app.id, SECRET) },
    ];
  },
  'POST /oauth/introspect': async (product) => {
    const { app, access_token, refresh_token } = await tokens(product);
    return [access_token, refresh_token].map((token) => ({
      form: { ...proof(app.id), token, token_type_hint: 'access_token' },
    }));
  },
  'POST /oauth/revoke': async (product) => {
    const { app, access_token, refresh_token } = await tokens(product);
    return [access_token, refresh_token].map((token) => ({
      form: { ...proof(app.id), token, token_type_hint: 'refresh_token' },
    }));
  },
  'GET /oauth/userinfo': async (product) => [{ headers: bearer((await tokens(product)).access_token) }],
  'POST /oauth/userinfo': async (product) => [
    { form: { access_token: (await tokens(product)).access_token } },
  ],
  'GET /oauth/logout': async (product) => {
    const { wish, headers } = await logout(product);
    return [{ query: wish, headers }];
  },
  'POST /oauth/logout': async (product) => {
    const { wish, headers } = await logout(product);
    return [{ form: wish, headers }];
  },
  'POST /oauth/register': async () => [{ json: METADATA }, { json: KEYED }],
  'GET /oauth/register/:client_id': async (product) => {
    const { params, headers } = await registered(product);
    return [{ params, headers }];
  },
  'PUT /oauth/register/:client_id': async (product) => {
    const { params, headers } = await registered(product);
    return [{ params, headers, json: { ...METADATA, ...params } }];
  },
  'DELETE /oauth/register/:client_id': async (product) => {
    const { params, headers } = await registered(product);
    return [{ params, headers }];
  },
  'GET /signin': async (product) => {
    const { handle } = await waiting(product);
    return [{ query: { request: handle } }];
  },
  'POST /signin': async (product) => {
    const { handle, user, browser, headers } = await waiting(product);
    return [
      {
        form: { csrf: csrf(browser, 'signin'), request: handle, username: user.username, password: PASSWORD },
        headers,
      },
    ];
  },
  'GET /consent': async (product) => {
    const { handle, headers } = await waiting(product);
    return [{ query: { request: handle }, headers }];
  },
  'POST /consent': async (product) => {
    const { handle, session, browser, headers } = await waiting(product);
    const token = csrf(browser, `consent:${handle}:${session}`);
    return [{ form: { csrf: token, request: handle, decision: 'allow', scope: '0:email' }, headers }];
  },
  'GET /signout': async (product) => {
    const { headers } = await visitor(product);
    return [
      { query: { post_logout: Buffer.from('{"client_id":"a","uri":"b"}').toString('base64url') }, headers },
    ];
  },
  'POST /signout': async (product) => {
    const { app, browser, headers } = await waiting(product);
    const wish = JSON.stringify({ client_id: app.id, uri: CALLBACK, state: 'a' });
    return [
      {
        form: { csrf: csrf(browser, 'signout'), post_logout: Buffer.from(wish).toString('base64url') },
        headers,
      },
    ];
  },
  'GET /account': async (product) => [
    { query: { notice: 'session_ended' }, headers: (await visitor(product)).headers },
  ],
  'POST /account/sessions/:id/end': async (product) => {
    const { session, browser, headers } = await waiting(product);
    return [{ params: { id: session }, form: { csrf: csrf(browser, `end-session:${session}`) }, headers }];
  },
  'POST /account/sessions/end-others': async (product) => {
    const { browser, headers } = await visitor(product);
    return [{ form: { csrf: csrf(browser, 'end-others') }, headers }];
  },
  'POST /account/grants/:client_id/withdraw': async (product) => {
    const { app, browser } = await tokens(product);
    return [
      {
        params: { client_id: app.id },
        form: { csrf: csrf(browser, `withdraw:${app.id}`) },
        headers: cookies(browser),
      },
    ];
  },

  ...adminSamples,
};
