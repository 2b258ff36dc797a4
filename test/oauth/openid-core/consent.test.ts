// Consent as the protocol sees it: what is asked, what of it is granted, what is remembered.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import {
  type Answer,
  type Browser,
  bearer,
  CALLBACK,
  claimsOf,
  type Fields,
  ISSUER,
  PASSWORD,
  Product,
} from '../product.ts';

const API = 'https://api.example/';
const BARE = 'https://bare.example/';

describeEngines('consent (OpenID Connect Core 3.1.2.4)', (engine) => {
  let product: Product;
  let client: Client;
  let username: string;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    username = (await product.user()).username;
    browser = await product.signedIn(username);
    await product.resource(API, [{ name: 'notes:read', description: 'Read your notes' }, 'notes:write']);
    await product.resource(BARE, []);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  beforeEach(async () => {
    client = await product.client();
  });

  /** Asks, and answers the consent page with just these boxes ticked, each `<place of the resource>:<token>`. */
  async function consentTo(scope: readonly string[], ask: Fields) {
    const { answer, verifier } = await browser.ask(client, ask);
    const page = await browser.follow(answer);
    const back = await browser.walk(await browser.submit(page, { decision: 'allow', scope }));
    const code = back.searchParams.get('code') ?? '';
    return (await product.redeem(client, { code, verifier })).json;
  }

  const pageOf = ({ location }: Answer) => location?.pathname.replace('/auth', '');

  test('what is unticked is not granted: not in the answer, the tokens or UserInfo', async () => {
    const tokens = await consentTo(['0:email'], { scope: 'openid profile email' });
    expect([tokens.scope, claimsOf(tokens.access_token).scope]).toEqual(['openid email', 'openid email']);
    const userinfo = (await product.get('/oauth/userinfo', bearer(tokens.access_token))).json;
    expect(userinfo).toHaveProperty('email');
    expect(userinfo).not.toHaveProperty('name');
    expect((await product.refresh(client, tokens.refresh_token)).json.scope).toBe('openid email');
  });

  test('a refresh cannot ask for what was unticked (RFC 6749 section 6)', async () => {
    const tokens = await consentTo(['0:email'], { scope: 'openid profile email' });
    const { json } = await product.refresh(client, tokens.refresh_token, { scope: 'openid profile' });
    expect(json.error).toBe('invalid_scope');
  });

  test('nothing can be ticked that was not asked for', async () => {
    const tokens = await consentTo(
      ['0:email', '0:profile', '0:notes:write', '1:email', '2:notes:write', 'email'],
      { scope: 'openid email' },
    );
    expect(tokens.scope).toBe('openid email');
  });

  test('openid is what signing in means and stays', async () => {
    expect((await consentTo([], { scope: 'openid email' })).scope).toBe('openid');
  });

  test('scopes of a resource are asked for in its words', async () => {
    const { answer } = await browser.ask(client, { scope: 'openid notes:read' });
    const page = await browser.follow(answer);
    for (const text of ['Example App', 'app.example', 'Read your notes', API])
      expect(page.body).toContain(text);
  });

  test('unticked scopes of a resource are not in its token', async () => {
    const tokens = await consentTo(['2:notes:read'], { scope: 'openid notes:read notes:write' });
    expect(claimsOf(tokens.access_token)).toMatchObject({ aud: [ISSUER, API], scope: 'openid notes:read' });
  });

  test('a resource of which nothing is left ticked is no audience of the token', async () => {
    const tokens = await consentTo(['0:email'], { scope: 'openid email notes:read' });
    expect(claimsOf(tokens.access_token)).toMatchObject({ aud: ISSUER, scope: 'openid email' });
  });

  test('where nothing is left of the one resource asked for, the client hears access_denied', async () => {
    const { answer } = await browser.ask(client, { scope: 'openid notes:read', resource: API });
    const page = await browser.follow(answer);
    const back = await browser.walk(await browser.submit(page, { decision: 'allow', scope: [] }));
    expect([back.searchParams.get('error'), back.searchParams.has('code')]).toEqual(['access_denied', false]);
  });

  test('a token name that two resources share is ticked at each by itself', async () => {
    const [notes, payments] = ['https://notes.example/shared', 'https://payments.example/shared'];
    for (const uri of [notes, payments]) await product.resource(uri, ['shared:read', 'shared:write']);
    const ask = { scope: 'openid shared:read shared:write', resource: [notes, payments] };
    const tokens = await consentTo(['1:shared:read', '1:shared:write', '2:shared:write'], ask);
    expect(claimsOf(tokens.access_token)).toMatchObject({ aud: notes, scope: 'shared:read shared:write' });
    const user = await product.rooms.users.findByLogin(username);
    const user_id = user?.user.id ?? '';
    const kept = await product.rooms.store.consents.find({ user_id, client_id: client.id });
    expect(Object.fromEntries(kept.map(({ resource, scope }) => [resource, scope]))).toEqual({
      '': 'openid',
      [notes]: 'shared:read shared:write',
      [payments]: 'shared:write',
    });
    const again = async (scope: string, resource: string) =>
      (await browser.ask(client, { scope, resource })).answer.location?.searchParams.has('code');
    expect(await again('openid shared:read', notes)).toBe(true);
    expect(await again('openid shared:write', payments)).toBe(true);
    expect(await again('openid shared:read', payments)).toBe(false);
  });

  test('a decision is worth one code, however many windows come back with it at once', async () => {
    const { answer } = await browser.ask(client);
    const decided = await browser.submit(await browser.follow(answer), { decision: 'allow' });
    const backs = await Promise.all(Array.from({ length: 6 }, () => browser.follow(decided)));
    const codes = backs.filter(({ location }) => location?.searchParams.has('code'));
    expect(codes).toHaveLength(1);
    for (const back of backs.filter((one) => !codes.includes(one))) {
      expect(back.status).toBe(400);
      expect(back.body).toContain('finished already');
    }
  });

  test('deny sends access_denied back with state and iss, and a new request asks anew', async () => {
    const { answer } = await browser.ask(client);
    const back = await browser.walk(await browser.submit(await browser.follow(answer), { decision: 'deny' }));
    expect(back.href.startsWith(`${CALLBACK}?`)).toBe(true);
    expect(Object.fromEntries(back.searchParams)).toEqual({
      error: 'access_denied',
      error_description: expect.any(String),
      state: 'a state',
      iss: ISSUER,
    });
    expect(pageOf((await browser.ask(client)).answer)).toBe('/consent');
  });

  test('what was allowed is remembered, less is covered by it, more is asked for', async () => {
    await consentTo(['0:email', '0:profile'], { scope: 'openid email profile' });
    for (const scope of ['openid email profile', 'openid email', 'profile openid'])
      expect((await browser.ask(client, { scope })).answer.location?.searchParams.has('code')).toBe(true);
    expect(pageOf((await browser.ask(client, { scope: 'openid notes:read' })).answer)).toBe('/consent');
  });

  test('what was unticked is not remembered as allowed', async () => {
    await consentTo(['0:email'], { scope: 'openid profile email' });
    expect(pageOf((await browser.ask(client, { scope: 'openid profile' })).answer)).toBe('/consent');
  });

  test('consent is of one user for one client', async () => {
    await browser.authorize(client);
    const other = await product.signedIn((await product.user()).username);
    expect(pageOf((await other.ask(client)).answer)).toBe('/consent');
    expect(pageOf((await browser.ask(await product.client())).answer)).toBe('/consent');
  });

  test('a client of the operator is not asked about, and gets all that it asks for', async () => {
    const own = await product.client({ skip_consent: true });
    const { tokens } = await product.grant(own, { browser, ask: { scope: 'openid profile' } });
    expect(tokens.scope).toBe('openid profile');
  });

  test('a page that one user was shown is not answered by the next one in the same browser', async () => {
    const shared = await product.signedIn(username);
    const page = await shared.follow((await shared.ask(client)).answer);
    const next = await product.user();
    await shared.submit(await shared.get('/signout'), {});
    await shared.submit(await shared.get('/signin'), {
      username: next.username,
      password: PASSWORD,
    });
    const answer = await shared.submit(page, { decision: 'allow' });
    expect([answer.status, answer.location]).toEqual([403, undefined]);
  });

  test('a decision is of the session that made it: who signs in later is asked themselves', async () => {
    const shared = await product.signedIn(username);
    const { answer } = await shared.ask(client);
    await shared.submit(await shared.follow(answer), { decision: 'allow' });
    await shared.submit(await shared.get('/signout'), {});
    const next = await product.user();
    await shared.submit(await shared.get('/signin'), {
      username: next.username,
      password: PASSWORD,
    });
    const request = answer.location?.searchParams.get('request');
    expect(pageOf(await shared.get(`/oauth/authorize/resume?request=${request}`))).toBe('/consent');
  });

  test('a resource without scopes is named on the page, can be allowed, and is asked about each time', async () => {
    const ask = { scope: undefined, resource: BARE };
    const page = await browser.follow((await browser.ask(client, ask)).answer);
    expect(page.body).toContain(BARE);
    const { tokens } = await product.grant(client, { browser, ask });
    expect(claimsOf(tokens.access_token).aud).toBe(BARE);
    expect(tokens).not.toHaveProperty('scope');
    await browser.authorize(client);
    expect(pageOf((await browser.ask(client, ask)).answer)).toBe('/consent');
    expect(pageOf((await browser.ask(client, { resource: API })).answer)).toBe('/consent');
  });

  test('with something to tick and nothing ticked, the person is asked to tick or deny', async () => {
    const { answer } = await browser.ask(client, { scope: 'notes:read notes:write' });
    const again = await browser.submit(await browser.follow(answer), { decision: 'allow', scope: [] });
    expect([again.status, again.location]).toEqual([422, undefined]);
    expect(again.body).toContain('Nothing is ticked');
  });
});
