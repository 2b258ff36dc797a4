import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Browser, bearer, claimsOf, type Fields, Product } from '../product.ts';

describeEngines('the claims parameter (OpenID Connect Core 5.5)', (engine) => {
  let product: Product;
  let client: Client;
  let user: { id: string; username: string };
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client();
    user = await product.user();
    browser = await product.signedIn(user.username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const both = { userinfo: { email: null }, id_token: { given_name: { essential: true }, email: null } };

  async function grant(claims: object, ask: Fields = {}, of = client) {
    const { tokens } = await product.grant(of, { browser, ask: { claims: JSON.stringify(claims), ...ask } });
    const userinfo = (await product.get('/oauth/userinfo', bearer(tokens.access_token))).json;
    return { tokens, userinfo, idToken: claimsOf(tokens.id_token) };
  }

  test('claims asked for by name come in the ID token or from UserInfo, as they were asked for', async () => {
    const { idToken, userinfo } = await grant(both);
    expect(idToken).toMatchObject({ given_name: 'Alice', email: `${user.username}@example.com` });
    expect(idToken).not.toHaveProperty('name');
    expect(userinfo).toMatchObject({ sub: user.id, email: `${user.username}@example.com` });
  });

  test('the ID token of a refresh has them too (section 12.2)', async () => {
    const { tokens } = await grant(both);
    const { json } = await product.refresh(client, tokens.refresh_token);
    expect(claimsOf(json.id_token)).toMatchObject({ given_name: 'Alice' });
  });

  test('the person is asked: the scope that covers a claim stands on the consent page and in the answer', async () => {
    const fresh = await product.client();
    const { answer } = await browser.ask(fresh, { claims: JSON.stringify({ userinfo: { email: null } }) });
    const page = await browser.follow(answer);
    expect(page.body).toContain('See your e-mail address');
    expect(page.body).not.toContain('See your name and profile');
    expect((await grant({ userinfo: { email: null } }, {}, fresh)).tokens.scope).toBe('openid email');
  });

  test('a claim whose scope the person unticked is not given', async () => {
    const fresh = await product.client();
    const { answer, verifier } = await browser.ask(fresh, { claims: JSON.stringify(both) });
    const decided = await browser.submit(await browser.follow(answer), {
      decision: 'allow',
      scope: ['0:profile'],
    });
    const code = (await browser.walk(decided)).searchParams.get('code') ?? '';
    const { json } = await product.redeem(fresh, { code, verifier });
    expect(json.scope).toBe('openid profile');
    expect(claimsOf(json.id_token)).toHaveProperty('given_name');
    expect(claimsOf(json.id_token)).not.toHaveProperty('email');
    expect((await product.get('/oauth/userinfo', bearer(json.access_token))).json).not.toHaveProperty(
      'email',
    );
  });

  test('a claim beyond what the client may ask for is left out, and is no error (section 5.5.1)', async () => {
    const bounded = await product.client({ scope: 'openid profile', skip_consent: true });
    const { tokens, idToken, userinfo } = await grant(both, {}, bounded);
    expect([tokens.scope, idToken.given_name]).toEqual(['openid profile', 'Alice']);
    for (const claims of [idToken, userinfo]) expect(claims).not.toHaveProperty('email');
  });

  test('without the scope openid the parameter gives nothing', async () => {
    await product.resource('https://api.example/', ['read']);
    const { tokens } = await product.grant(client, {
      browser,
      ask: { scope: 'read', claims: JSON.stringify(both) },
    });
    expect(tokens.scope).toBe('read');
  });

  test('prompt=none with a claim that was not consented to is consent_required', async () => {
    const fresh = await product.client();
    await browser.authorize(fresh);
    const { answer } = await browser.ask(fresh, { prompt: 'none', claims: JSON.stringify(both) });
    expect(answer.location?.searchParams.get('error')).toBe('consent_required');
  });

  test('it cannot overwrite what the token itself says, nor ask for what is no claim', async () => {
    const names = ['iss', 'aud', 'exp', 'nonce', 'password_hash', '__proto__', 'constructor', 'id'];
    const asked = Object.fromEntries(names.map((name) => [name, { value: 'forged' }]));
    const { tokens, idToken } = await grant({ id_token: asked, userinfo: asked });
    expect(idToken).toMatchObject({ sub: user.id, aud: client.id, nonce: 'a nonce' });
    expect(Object.keys(idToken)).not.toEqual(expect.arrayContaining(['password_hash']));
    expect(tokens.scope).toBe('openid');
  });

  const asking = async (id_token: object, ask: Fields = {}) => {
    const { answer } = await browser.ask(client, { claims: JSON.stringify({ id_token }), ...ask });
    return answer;
  };
  const errorOf = async (id_token: object, ask?: Fields) =>
    (await asking(id_token, ask)).location?.searchParams.get('error');

  test('sub with a value lets only that user answer (section 3.1.2.2)', async () => {
    await browser.authorize(client);
    product.clock.advance(1);
    const other = await product.user();
    const { tokens } = await product.grant(client, { browser });
    expect(await errorOf({ sub: { value: user.id } }, { prompt: 'none' })).toBeNull();
    expect(await errorOf({ sub: { value: other.id } }, { prompt: 'none' })).toBe('login_required');
    expect((await asking({ sub: { value: other.id } })).location?.pathname).toMatch(/\/signin$/);
    const hint = { id_token_hint: tokens.id_token };
    expect(await errorOf({ sub: { value: user.id } }, hint)).toBeNull();
    expect(await errorOf({ sub: { value: other.id } }, hint)).toBe('invalid_request');
  });

  test('an essential acr that no sign-in here has is unmet_authentication_requirements (section 5.5.1.1)', async () => {
    await browser.authorize(client);
    const ours = 'urn:authserver:acr:1';
    const strange = { essential: true, values: ['urn:mace:incommon:iap:silver'] };
    expect(await errorOf({ acr: strange })).toBe('unmet_authentication_requirements');
    expect(await errorOf({ acr: { essential: true, value: 'x' } })).toBe('unmet_authentication_requirements');
    expect(await errorOf({ acr: { essential: true, values: ['x', ours] } })).toBeNull();
    expect(await errorOf({ acr: { values: ['x'] } })).toBeNull();
    expect(await errorOf({ acr: { essential: true } })).toBeNull();
  });

  test('members and claims that nobody knows are ignored (section 5.5)', async () => {
    const { idToken } = await grant({
      id_token: { 'https://claims.example/shoe_size': null },
      verified_claims: [],
    });
    expect(idToken.sub).toBe(user.id);
  });

  test.each([
    '',
    'x',
    '[]',
    'null',
    '"email"',
    '{"userinfo":[]}',
    '{"id_token":"email"}',
    '{"id_token":{}',
    '{}{}',
  ])('what is no such JSON object is invalid_request: %j', async (claims) => {
    const { answer } = await browser.ask(client, { claims, prompt: 'none' });
    const expected = claims === '' ? null : 'invalid_request';
    expect(answer.location?.searchParams.get('error')).toBe(expected);
  });

  test('a claims parameter of more than 8 KiB is invalid_request', async () => {
    const claims = JSON.stringify({ id_token: { ['x'.repeat(8192)]: null } });
    const { answer } = await browser.ask(client, { claims });
    expect(answer.location?.searchParams.get('error')).toBe('invalid_request');
  });
});
