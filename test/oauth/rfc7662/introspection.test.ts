import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { claimsOf, ISSUER, Product } from '../product.ts';

const NOTES = 'https://notes.example';
const MAIL = 'https://mail.example';
const INACTIVE = { active: false };

describeEngines('introspection', (engine) => {
  let product: Product;
  /** Serves NOTES. */
  let guard: Client;
  /** Serves nothing. */
  let stranger: Client;
  beforeAll(async () => {
    product = await Product.open(engine);
    await product.resource(NOTES, ['notes:read']);
    await product.resource(MAIL, ['mail:read']);
    guard = await product.service('', { audiences: [NOTES] });
    stranger = await product.service('', { audiences: [MAIL] });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const introspect = (caller: Client, token: string, form = {}) =>
    product.as(caller, '/oauth/introspect', { token, ...form });
  const grant = async (scope = 'openid notes:read') => {
    const client = await product.client();
    const user = await product.user();
    const { tokens, browser } = await product.grant(client, { username: user.username, ask: { scope } });
    return { client, user, tokens, browser };
  };

  test('says everything of an access token to the resource server that it is for (RFC 7662 section 2.2)', async () => {
    const { client, user, tokens } = await grant();
    const { aud, jti, iat, exp, auth_time, acr } = claimsOf(tokens.access_token);
    const answer = await introspect(guard, tokens.access_token);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      active: true,
      iss: ISSUER,
      sub: user.id,
      aud,
      client_id: client.id,
      scope: 'openid notes:read',
      username: user.username,
      token_type: 'Bearer',
      jti,
      iat,
      exp,
      auth_time,
      acr,
    });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' });
  });

  test('says everything of a token to the client that it was issued to', async () => {
    const { client, tokens } = await grant('openid');
    expect((await introspect(client, tokens.access_token)).json).toMatchObject({ active: true, aud: ISSUER });
  });

  test('says nothing of a token to anybody else, just as of nonsense (section 2.2)', async () => {
    const { tokens } = await grant();
    const other = await product.client();
    for (const caller of [stranger, other]) {
      expect((await introspect(caller, tokens.access_token)).json).toEqual(INACTIVE);
      expect((await introspect(caller, tokens.refresh_token)).json).toEqual(INACTIVE);
    }
  });

  test('a token narrowed to one resource is nothing to the server of another (RFC 8707)', async () => {
    const service = await product.service('notes:read mail:read');
    const { json } = await product.token(service, { grant_type: 'client_credentials', resource: MAIL });
    expect((await introspect(guard, json.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(stranger, json.access_token)).json).toMatchObject({ active: true, aud: MAIL });
  });

  test('says of a token that a client got for itself that the client is its subject', async () => {
    const service = await product.service('notes:read');
    const { json } = await product.token(service, { grant_type: 'client_credentials', resource: NOTES });
    const answer = await introspect(guard, json.access_token);
    expect(answer.json).toMatchObject({ active: true, sub: service.id, client_id: service.id });
    expect(answer.json).not.toHaveProperty('username');
  });

  test('says of a refresh token when it ends, to its client alone', async () => {
    const { client, user, tokens } = await grant();
    const now = product.clock.now() / 1000;
    expect((await introspect(client, tokens.refresh_token)).json).toMatchObject({
      active: true,
      token_type: 'refresh_token',
      sub: user.id,
      client_id: client.id,
      scope: 'openid notes:read',
      iat: now,
      exp: now + 168 * 3600,
    });
    expect((await introspect(guard, tokens.refresh_token)).json).toEqual(INACTIVE);
  });

  test.each(['access_token', 'refresh_token', 'nonsense'])(
    'token_type_hint=%s changes nothing (section 2.1)',
    async (token_type_hint) => {
      const { client, tokens } = await grant('openid');
      for (const token of [tokens.access_token, tokens.refresh_token])
        expect((await introspect(client, token, { token_type_hint })).json.active).toBe(true);
    },
  );

  test('an ID token is not an access token: inactive', async () => {
    const { client, tokens } = await grant();
    expect((await introspect(client, tokens.id_token)).json).toEqual(INACTIVE);
  });

  test('an authorization code is no token: inactive', async () => {
    const client = await product.client();
    const browser = await product.signedIn((await product.user()).username);
    const { code } = await browser.authorize(client);
    expect((await introspect(client, code)).json).toEqual(INACTIVE);
  });

  test.each(['garbage', 'a.b.c', `rt_${'x'.repeat(43)}`, '🔑', ' ', '.', 'eyJhbGciOiJub25lIn0.e30.'])(
    'nonsense is inactive, never an error (section 2.2): "%s"',
    async (nonsense) => {
      const answer = await introspect(guard, nonsense);
      expect(answer).toMatchObject({ status: 200, json: INACTIVE });
    },
  );

  test('a token whose claims were changed is inactive', async () => {
    const { client, tokens } = await grant();
    const [header, , signature] = tokens.access_token.split('.');
    const claims = { ...claimsOf(tokens.access_token), scope: 'openid notes:read admin' };
    const forged = [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
    expect((await introspect(client, forged)).json).toEqual(INACTIVE);
  });

  test('a revoked access token is inactive at once', async () => {
    const { client, tokens } = await grant();
    await product.as(client, '/oauth/revoke', { token: tokens.access_token });
    expect((await introspect(guard, tokens.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(client, tokens.refresh_token)).json.active).toBe(true);
  });

  test('with its family every access token and refresh token is inactive at once', async () => {
    const { client, tokens } = await grant();
    const { json: next } = await product.refresh(client, tokens.refresh_token);
    await product.as(client, '/oauth/revoke', { token: next.refresh_token });
    for (const token of [tokens.access_token, next.access_token, tokens.refresh_token, next.refresh_token])
      expect((await introspect(client, token)).json).toEqual(INACTIVE);
  });

  test('a spent refresh token is inactive', async () => {
    const { client, tokens } = await grant();
    await product.refresh(client, tokens.refresh_token);
    expect((await introspect(client, tokens.refresh_token)).json).toEqual(INACTIVE);
  });

  test('a disabled user has no active token, and gets none back by being enabled', async () => {
    const { client, user, tokens } = await grant();
    await product.rooms.users.setStatus(user.id, 'disabled');
    expect((await introspect(guard, tokens.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(client, tokens.refresh_token)).json).toEqual(INACTIVE);
    await product.rooms.users.setStatus(user.id, 'active');
    expect((await introspect(guard, tokens.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(client, tokens.refresh_token)).json).toEqual(INACTIVE);
  });

  test('a removed user has no active token', async () => {
    const { client, user, tokens } = await grant();
    await product.rooms.users.remove(user.id);
    expect((await introspect(guard, tokens.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(client, tokens.refresh_token)).json).toEqual(INACTIVE);
  });

  test('a disabled client has no active token', async () => {
    const { client, tokens } = await grant();
    await product.setClientStatus(client, 'disabled');
    expect((await introspect(guard, tokens.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(client, tokens.access_token)).status).toBe(401);
  });

  test('signing out ends what the session opened, but not what was granted offline access (OpenID Connect Core 11)', async () => {
    const online = await grant();
    const offline = await grant('openid notes:read offline_access');
    for (const { browser } of [online, offline]) await browser.submit(await browser.get('/signout'), {});
    expect((await introspect(guard, online.tokens.access_token)).json).toEqual(INACTIVE);
    expect((await introspect(online.client, online.tokens.refresh_token)).json).toEqual(INACTIVE);
    expect((await introspect(guard, offline.tokens.access_token)).json.active).toBe(true);
  });

  test('an expired token is inactive, to the second', async () => {
    const { client, tokens } = await grant();
    product.clock.advance(899);
    expect((await introspect(guard, tokens.access_token)).json.active).toBe(true);
    product.clock.advance(1);
    expect((await introspect(guard, tokens.access_token)).json).toEqual(INACTIVE);
    product.clock.advance(168 * 3600 - 901);
    expect((await introspect(client, tokens.refresh_token)).json.active).toBe(true);
    product.clock.advance(1);
    expect((await introspect(client, tokens.refresh_token)).json).toEqual(INACTIVE);
  });

  test('a public client is refused: it cannot prove who asks (section 2.1)', async () => {
    const client = await product.client({ token_endpoint_auth_method: 'none' });
    const { tokens } = await product.grant(client);
    const answer = await introspect(client, tokens.access_token);
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });

  test('without authentication, or with a wrong secret, it is refused with 401 (section 2.3)', async () => {
    const { client, tokens } = await grant();
    const { access_token: token } = tokens;
    expect((await product.post('/oauth/introspect', { token })).status).toBe(401);
    expect((await product.post('/oauth/introspect', { token, client_id: client.id })).status).toBe(401);
    // A bearer token of the caller is an alternative of section 2.1 that is not offered here.
    const withBearer = await product.post(
      '/oauth/introspect',
      { token },
      { authorization: `Bearer ${token}` },
    );
    expect(withBearer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });

  test('a disabled caller is refused', async () => {
    const caller = await product.service('', { audiences: [NOTES] });
    await product.setClientStatus(caller, 'disabled');
    expect((await introspect(caller, 'x')).status).toBe(401);
  });

  test('without a token, or with two, it is invalid_request (section 2.1, RFC 6749 section 3.2)', async () => {
    expect(await product.as(guard, '/oauth/introspect', {})).toMatchObject({
      status: 400,
      json: { error: 'invalid_request' },
    });
    expect(await product.as(guard, '/oauth/introspect', { token: ['a', 'b'] })).toMatchObject({
      status: 400,
      json: { error: 'invalid_request' },
    });
  });

  test('answers to POST only', async () => {
    expect((await product.get('/oauth/introspect?token=x')).status).toBe(405);
  });
});
