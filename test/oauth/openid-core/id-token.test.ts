// What an ID token says, and that it can be believed.

import { createHash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Browser, claimsOf, type Fields, ISSUER, Product } from '../product.ts';

describeEngines('ID tokens (OpenID Connect Core 2, 3.1.3)', (engine) => {
  let product: Product;
  let client: Client;
  let user: { id: string; username: string };
  let browser: Browser;
  let signedInAt: number;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    user = await product.user();
    browser = await product.signedIn(user.username);
    signedInAt = product.clock.now() / 1000;
    product.clock.advance(100);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const grant = async (ask: Fields = {}, by: Product = product, of = client, from = browser) =>
    (await by.grant(of, { browser: from, ask })).tokens;

  test('has the claims of section 2, and nothing of the user that was not asked for there', async () => {
    const { id_token, access_token } = await grant({ scope: 'openid profile email' });
    const now = product.clock.now() / 1000;
    const [session] = await product.rooms.sessions.list(user.id);
    expect(claimsOf(id_token)).toEqual({
      iss: ISSUER,
      sub: user.id,
      aud: client.id,
      iat: now,
      exp: now + 900,
      auth_time: signedInAt,
      nonce: 'a nonce',
      acr: 'urn:authserver:acr:1',
      amr: ['pwd'],
      sid: session?.id,
      at_hash: createHash('sha256')
        .update(access_token, 'ascii')
        .digest()
        .subarray(0, 16)
        .toString('base64url'),
    });
  });

  test('nonce comes back as it was sent, and not at all where none was (section 3.1.2.1)', async () => {
    const nonce = 'n-0S6_WzA2Mj "<é>';
    expect(claimsOf((await grant({ nonce })).id_token).nonce).toBe(nonce);
    expect(claimsOf((await grant({ nonce: undefined })).id_token)).not.toHaveProperty('nonce');
  });

  test('is signed by a published key with ES256 and verifies with what discovery says', async () => {
    const { id_token } = await grant();
    const keys = createLocalJWKSet((await product.get('/.well-known/jwks.json')).json);
    const { protectedHeader } = await jwtVerify(id_token, keys, {
      issuer: ISSUER,
      audience: client.id,
      algorithms: ['ES256'],
      currentDate: new Date(product.clock.now()),
    });
    expect(protectedHeader.kid).toBeTypeOf('string');
    const metadata = (await product.get('/.well-known/openid-configuration')).json;
    expect(metadata.id_token_signing_alg_values_supported).toContain(protectedHeader.alg);
  });

  test('an ID token cannot pass for an access token, nor the other way round (RFC 9068 section 4)', async () => {
    const { id_token, access_token } = await grant();
    const userinfo = (token: string) => product.get('/oauth/userinfo', { authorization: `Bearer ${token}` });
    expect((await userinfo(id_token)).status).toBe(401);
    expect((await userinfo(access_token)).status).toBe(200);
    expect(await product.isActive(client, id_token)).toBe(false);
  });

  test('without the scope openid there is no ID token (section 3.1.2.1)', async () => {
    await product.resource('https://api.example/', ['read']);
    const tokens = await grant({ scope: 'read' });
    expect([tokens.scope, tokens.id_token]).toEqual(['read', undefined]);
  });

  test('sub stays the same for every client and sign-in, and is nothing that may change', async () => {
    const other = await product.client({ skip_consent: true });
    const tokens = await grant({}, product, other, await product.signedIn(user.username));
    expect(claimsOf(tokens.id_token)).toMatchObject({ sub: user.id, aud: other.id });
    expect(user.id).not.toContain(user.username);
  });

  test('sid tells one sign-in from another', async () => {
    const again = await grant({}, product, client, await product.signedIn(user.username));
    expect(claimsOf(again.id_token).sid).not.toBe(claimsOf((await grant()).id_token).sid);
  });

  test.each([
    ['EdDSA', 'sha512', 32],
    ['RS256', 'sha256', 16],
  ])('signed with %s, at_hash is the left half of a %s (section 3.1.3.6)', async (algorithm, hash, half) => {
    await using other = await Product.open(engine, { AUTHSERVER_SIGNING_ALGORITHM: algorithm });
    const app = await other.client({ skip_consent: true });
    const { tokens } = await other.grant(app);
    const keys = createLocalJWKSet((await other.get('/.well-known/jwks.json')).json);
    await jwtVerify(tokens.id_token, keys, {
      issuer: ISSUER,
      audience: app.id,
      algorithms: [algorithm],
      currentDate: new Date(other.clock.now()),
    });
    const digest = createHash(hash).update(tokens.access_token, 'ascii').digest();
    expect(claimsOf(tokens.id_token).at_hash).toBe(digest.subarray(0, half).toString('base64url'));
  });
});
