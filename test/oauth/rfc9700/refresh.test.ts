// Refresh tokens: rotation, retries, reuse, lifetimes, and whom they belong to.

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, basic, claimsOf, type Fields, Product } from '../product.ts';

const DAY = 86_400;
const REFUSED = [400, 'invalid_grant'];
const outcome = ({ status, json }: Answer) => [status, json.error];

describeEngines('refresh tokens (RFC 9700 section 4.14, RFC 6749 section 6)', (engine) => {
  let product: Product;
  let client: Client;
  let stranger: Client;
  let open: Client;
  let user: string;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    stranger = await product.client({ skip_consent: true });
    open = await product.client({ skip_consent: true, token_endpoint_auth_method: 'none' });
    await product.resource('https://api.example/', ['read', 'write']);
    user = (await product.user()).username;
    browser = await product.signedIn(user);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const begin = async (ask: Fields = {}, of = client) => {
    const { tokens } = await product.grant(of, { browser, ask });
    return tokens as { access_token: string; refresh_token: string; id_token: string };
  };
  const refresh = (token: string, form: Fields = {}) => product.refresh(client, token, form);

  test('each use gives a new access token and a new refresh token, of confidential and of public clients', async () => {
    for (const of of [client, open]) {
      const first = await begin({}, of);
      const { status, json: second } = await product.refresh(of, first.refresh_token);
      expect([status, second.token_type, second.expires_in]).toEqual([200, 'Bearer', 900]);
      expect(second.refresh_token).not.toBe(first.refresh_token);
      expect(claimsOf(second.access_token).jti).not.toBe(claimsOf(first.access_token).jti);
      expect((await product.refresh(of, second.refresh_token)).status).toBe(200);
    }
  });

  test('a refresh token is opaque, 256 bits behind a mark by which scanners know it', async () => {
    const { refresh_token } = await begin();
    const next = (await refresh(refresh_token)).json.refresh_token;
    for (const token of [refresh_token, next]) expect(token).toMatch(/^rt_[A-Za-z0-9_-]{43}$/);
  });

  test('an ID token comes along: same sub, auth_time, aud; without nonce (OpenID Connect Core 12.2)', async () => {
    const first = await begin();
    product.clock.advance(5);
    const again = claimsOf((await refresh(first.refresh_token)).json.id_token);
    const { nonce, at_hash, iat, exp, ...same } = claimsOf(first.id_token);
    expect(again).toMatchObject({ ...same, iat: iat + 5, exp: exp + 5 });
    expect(again).not.toHaveProperty('nonce');
    expect([nonce, again.at_hash === at_hash]).toEqual(['a nonce', false]);
  });

  test('a repeat within 10 seconds gets the same successor and an access token that works', async () => {
    const { refresh_token } = await begin();
    const first = (await refresh(refresh_token)).json;
    product.clock.advance(10);
    const { status, json: again } = await refresh(refresh_token);
    expect([status, again.refresh_token]).toEqual([200, first.refresh_token]);
    expect(again.access_token).not.toBe(first.access_token);
    expect(await product.isActive(client, again.access_token)).toBe(true);
    expect(await product.isActive(client, first.access_token)).toBe(true);
    expect((await refresh(first.refresh_token)).status).toBe(200);
  });

  test('a repeat after 10 seconds is reuse: the whole family is revoked (section 4.14.2)', async () => {
    const { refresh_token, access_token } = await begin();
    const next = (await refresh(refresh_token)).json;
    product.clock.time += 10_001;
    expect(outcome(await refresh(refresh_token))).toEqual(REFUSED);
    expect(outcome(await refresh(next.refresh_token))).toEqual(REFUSED);
    for (const token of [access_token, next.access_token, next.refresh_token])
      expect(await product.isActive(client, token)).toBe(false);
    const events = await product.rooms.store.audit.list({ after: 0, limit: 1000 });
    expect(events.some((event) => event.action === 'refresh.reused' && event.client_id === client.id)).toBe(
      true,
    );
  });

  test('a repeat whose successor was used already is reuse, however quick', async () => {
    const { refresh_token } = await begin();
    const next = (await refresh(refresh_token)).json;
    const third = (await refresh(next.refresh_token)).json;
    expect(outcome(await refresh(refresh_token))).toEqual(REFUSED);
    expect(outcome(await refresh(third.refresh_token))).toEqual(REFUSED);
  });

  test('reuse of an ancestor revokes the family of its descendants', async () => {
    const { refresh_token: ancestor } = await begin();
    let latest = ancestor;
    for (let generation = 0; generation < 3; generation++)
      latest = (await refresh(latest)).json.refresh_token;
    product.clock.advance(60);
    expect(outcome(await refresh(ancestor))).toEqual(REFUSED);
    expect(outcome(await refresh(latest))).toEqual(REFUSED);
  });

  test('reuse revokes one family: other sign-ins of the same user with the same client go on', async () => {
    const [one, other] = [await begin(), await begin()];
    await refresh(one.refresh_token);
    product.clock.advance(60);
    expect(outcome(await refresh(one.refresh_token))).toEqual(REFUSED);
    expect((await refresh(other.refresh_token)).status).toBe(200);
  });

  test('a refresh token is bound to its client; another one that shows it spends and revokes nothing', async () => {
    const { refresh_token, access_token } = await begin();
    expect(outcome(await product.refresh(stranger, refresh_token))).toEqual(REFUSED);
    expect(outcome(await product.refresh(open, refresh_token))).toEqual(REFUSED);
    const next = (await refresh(refresh_token)).json;
    product.clock.advance(60);
    expect(outcome(await product.refresh(stranger, refresh_token))).toEqual(REFUSED);
    expect(await product.isActive(client, access_token)).toBe(true);
    expect((await refresh(next.refresh_token)).status).toBe(200);
  });

  test.each(['rt_', 'rt_short', `rt_${'x'.repeat(43)}`, 'x'.repeat(46)])(
    '%s is no refresh token',
    async (token) => {
      expect(outcome(await refresh(token))).toEqual(REFUSED);
    },
  );

  test('a code or an access token is no refresh token', async () => {
    const { code } = await browser.authorize(client);
    expect(outcome(await refresh(code))).toEqual(REFUSED);
    expect(outcome(await refresh((await begin()).access_token))).toEqual(REFUSED);
  });

  test('a refresh may narrow the scope of its access token; the grant keeps its own (RFC 6749 section 6)', async () => {
    const { refresh_token } = await begin({ scope: 'openid email read' });
    const narrow = (await refresh(refresh_token, { scope: 'email' })).json;
    expect([narrow.scope, claimsOf(narrow.access_token).scope]).toEqual(['email', 'email']);
    const full = (await refresh(narrow.refresh_token)).json;
    expect(full.scope).toBe('openid email read');
  });

  test.each<[string, Fields, string]>([
    ['more scope than was granted', { scope: 'openid write' }, 'invalid_scope'],
    ['a scope that is none', { scope: 'openid  email' }, 'invalid_scope'],
    ['a resource that was not granted', { resource: 'https://other.example/' }, 'invalid_target'],
    ['a parameter sent twice', { scope: ['openid', 'openid'] }, 'invalid_request'],
  ])('a refresh that fails for %s spends nothing', async (_, form, error) => {
    const { refresh_token } = await begin({ scope: 'openid email' });
    expect(outcome(await refresh(refresh_token, form))).toEqual([400, error]);
    product.clock.advance(60);
    expect((await refresh(refresh_token)).status).toBe(200);
  });

  test('neither a wrong secret nor a key that cannot sign spends the refresh token', async () => {
    const { refresh_token } = await begin();
    const form = { grant_type: 'refresh_token', refresh_token };
    expect(outcome(await product.post('/oauth/token', form, basic(client.id, 'wrong')))).toEqual([
      401,
      'invalid_client',
    ]);
    const sign = vi.spyOn(product.rooms.keyring, 'sign').mockRejectedValueOnce(new Error('no key'));
    expect(outcome(await refresh(refresh_token))).toEqual([500, 'server_error']);
    sign.mockRestore();
    product.clock.advance(60);
    expect((await refresh(refresh_token)).status).toBe(200);
  });

  test('of 20 refreshes at the same moment all get the one successor, and nobody is signed out', async () => {
    const { refresh_token } = await begin();
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refresh_token)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    const [successor, ...others] = new Set(answers.map(({ json }) => json.refresh_token));
    expect(others).toEqual([]);
    for (const { json } of answers) expect(await product.isActive(client, json.access_token)).toBe(true);
    expect((await refresh(successor)).status).toBe(200);
  });

  test('a token that is not used for 7 days is dead; each use starts them again', async () => {
    browser = await product.signedIn(user);
    const [idle, used] = [await begin(), await begin()];
    product.clock.time += 7 * DAY * 1000 - 1;
    const next = (await refresh(used.refresh_token)).json;
    expect(next.refresh_token).toBeDefined();
    product.clock.time += 1;
    expect(outcome(await refresh(idle.refresh_token))).toEqual(REFUSED);
    expect(await product.isActive(client, idle.refresh_token)).toBe(false);
    product.clock.advance(6 * DAY);
    expect((await refresh(next.refresh_token)).status).toBe(200);
    browser = await product.signedIn(user);
  });

  test('30 days after the sign-in all its refresh tokens are dead, however often they were used', async () => {
    let { refresh_token } = await begin();
    const start = product.clock.now();
    for (let day = 6; day < 30; day += 6) {
      product.clock.time = start + day * DAY * 1000;
      refresh_token = (await refresh(refresh_token)).json.refresh_token;
    }
    product.clock.time = start + 30 * DAY * 1000 - 1;
    refresh_token = (await refresh(refresh_token)).json.refresh_token;
    expect(refresh_token).toBeDefined();
    product.clock.time += 1;
    expect(outcome(await refresh(refresh_token))).toEqual(REFUSED);
    expect(await product.isActive(client, refresh_token)).toBe(false);
    browser = await product.signedIn(user);
  });

  test('a client may have lifetimes of its own', async () => {
    const own = await product.client({
      skip_consent: true,
      access_token_lifetime: 60,
      refresh_token_lifetime: 100,
      refresh_token_absolute_lifetime: 150,
    });
    const [idle, used] = [await begin({}, own), await begin({}, own)];
    product.clock.advance(60);
    expect(await product.isActive(own, idle.access_token)).toBe(false);
    product.clock.advance(39);
    const { json: next } = await product.refresh(own, used.refresh_token);
    expect(next.expires_in).toBe(60);
    product.clock.advance(1);
    expect(outcome(await product.refresh(own, idle.refresh_token))).toEqual(REFUSED);
    product.clock.advance(49);
    const { status, json: last } = await product.refresh(own, next.refresh_token);
    expect(status).toBe(200);
    product.clock.advance(1);
    expect(outcome(await product.refresh(own, last.refresh_token))).toEqual(REFUSED);
  });

  test("a client's absolute lifetime bounds the server's sliding one", async () => {
    const own = await product.client({ skip_consent: true, refresh_token_absolute_lifetime: 100 });
    const { refresh_token } = await begin({}, own);
    product.clock.advance(100);
    expect(outcome(await product.refresh(own, refresh_token))).toEqual(REFUSED);
  });
});

describeEngines('refresh tokens without a retry window (RFC 9700 section 4.14.2)', (engine) => {
  let product: Product;
  let client: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_OAUTH_REFRESH_RETRY_WINDOW: '0' });
    client = await product.client({ skip_consent: true });
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('any repeat is reuse, in the same millisecond too', async () => {
    const { tokens } = await product.grant(client, { browser });
    const next = (await product.refresh(client, tokens.refresh_token)).json;
    expect(outcome(await product.refresh(client, tokens.refresh_token))).toEqual(REFUSED);
    expect(outcome(await product.refresh(client, next.refresh_token))).toEqual(REFUSED);
  });

  test('of 20 refreshes at the same moment one wins, and what it won is revoked', async () => {
    const { tokens } = await product.grant(client, { browser });
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => product.refresh(client, tokens.refresh_token)),
    );
    const won = answers.filter(({ status }) => status === 200);
    expect(won).toHaveLength(1);
    expect(answers.filter(({ json }) => json.error === 'invalid_grant')).toHaveLength(19);
    expect(outcome(await product.refresh(client, won[0]?.json.refresh_token))).toEqual(REFUSED);
    expect(await product.isActive(client, won[0]?.json.access_token)).toBe(false);
  });
});
