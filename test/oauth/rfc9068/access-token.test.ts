import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { bearer, claimsOf, ISSUER, Product } from '../product.ts';
import { verifyAccessToken } from '../verify.ts';

const NOTES = 'https://notes.example';
const MAIL = 'https://mail.example';

/** Seconds between `iat` and `exp`; they must agree with what the answer says. */
function lifetimeOf({ json }: { json: { access_token: string; expires_in: number } }): number {
  const { iat, exp } = claimsOf(json.access_token);
  expect(json.expires_in).toBe(exp - iat);
  return json.expires_in;
}

describeEngines('access tokens', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, {
      AUTHSERVER_OAUTH_ACCESS_TOKEN_LIFETIME: '10m',
      AUTHSERVER_CLIENT_CREDENTIALS_ACCESS_TOKEN_LIFETIME: '20m',
    });
    await product.resource(NOTES, ['notes:read', 'notes:write']);
    await product.resource(MAIL, ['mail:read']);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const machineToken = async (metadata: object = {}, form: object = {}) => {
    const service = await product.service('notes:read mail:read', { ...metadata });
    return product.token(service, { grant_type: 'client_credentials', ...form });
  };

  test('of a user have every claim of RFC 9068 section 2.2 and no other', async () => {
    const client = await product.client();
    const user = await product.user();
    const browser = await product.signedIn(user.username);
    const signedInAt = product.clock.now() / 1000;
    product.clock.advance(100);
    const { tokens } = await product.grant(client, { browser, ask: { scope: 'openid email' } });
    const { payload } = await verifyAccessToken(product, tokens.access_token, ISSUER);
    expect(payload).toEqual({
      iss: ISSUER,
      sub: user.id,
      aud: ISSUER,
      client_id: client.id,
      scope: 'openid email',
      jti: expect.stringMatching(/^at_/),
      iat: signedInAt + 100,
      exp: signedInAt + 100 + 600,
      auth_time: signedInAt,
      acr: expect.any(String),
      amr: ['pwd'],
    });
  });

  test('of a client for itself name the client as subject and no authentication (section 2.2)', async () => {
    const service = await product.service('notes:read');
    const { json } = await product.token(service, { grant_type: 'client_credentials' });
    const { payload, protectedHeader } = await verifyAccessToken(product, json.access_token, NOTES);
    expect(Object.keys(payload).sort()).toEqual([
      'aud',
      'client_id',
      'exp',
      'iat',
      'iss',
      'jti',
      'scope',
      'sub',
    ]);
    expect(payload).toMatchObject({ sub: service.id, client_id: service.id });
    expect(protectedHeader).toMatchObject({ typ: 'at+jwt', kid: expect.any(String) });
  });

  test('aud is a string for one audience and an array for several (RFC 7519 section 4.1.3)', async () => {
    const audienceFor = async (...resource: string[]) =>
      claimsOf((await machineToken({}, { resource })).json.access_token).aud;
    expect(await audienceFor(NOTES)).toBe(NOTES);
    expect(await audienceFor(NOTES, MAIL)).toEqual([NOTES, MAIL]);
    expect((await audienceFor()).toSorted()).toEqual([ISSUER, MAIL, NOTES]);
  });

  test('a token without any scope has no scope claim (section 2.2.3)', async () => {
    const { json } = await product.token(await product.service(), { grant_type: 'client_credentials' });
    expect(claimsOf(json.access_token)).not.toHaveProperty('scope');
    expect(json).not.toHaveProperty('scope');
  });

  test('no two have the same jti (section 2.2)', async () => {
    const service = await product.service();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => product.token(service, { grant_type: 'client_credentials' })),
    );
    expect(new Set(answers.map(({ json }) => claimsOf(json.access_token).jti)).size).toBe(20);
  });

  test('a refresh keeps subject, client and the time of the sign-in (section 2.2.1)', async () => {
    const client = await product.client();
    const { tokens } = await product.grant(client);
    product.clock.advance(300);
    const { json } = await product.refresh(client, tokens.refresh_token);
    const [before, after] = [claimsOf(tokens.access_token), claimsOf(json.access_token)];
    const { sub, client_id, auth_time, acr, amr, aud, scope } = before;
    expect(after).toMatchObject({ sub, client_id, auth_time, acr, amr, aud, scope, iat: before.iat + 300 });
    expect(after.jti).not.toBe(before.jti);
  });

  test('an ID token is no access token, however well it is signed (section 4)', async () => {
    const client = await product.client();
    const { tokens } = await product.grant(client);
    await expect(verifyAccessToken(product, tokens.id_token, client.id)).rejects.toThrow('"typ"');
    expect((await product.get('/oauth/userinfo', bearer(tokens.id_token))).status).toBe(401);
  });

  test('one for another audience is refused by a resource server that looks (section 4)', async () => {
    const { json } = await machineToken({}, { resource: NOTES });
    await verifyAccessToken(product, json.access_token, NOTES);
    await expect(verifyAccessToken(product, json.access_token, MAIL)).rejects.toThrow('"aud"');
  });

  describe('live as long as', () => {
    const QUICK = 'https://quick.example';
    const SLOW = 'https://slow.example';
    beforeAll(async () => {
      await product.resource(QUICK, ['quick'], 60_000);
      await product.resource(SLOW, ['slow'], 7_200_000);
    });
    const service = (metadata = {}) => product.service('quick slow notes:read', metadata);
    const lifetime = async (resource: string[], metadata = {}) =>
      lifetimeOf(
        await product.token(await service(metadata), { grant_type: 'client_credentials', resource }),
      );

    test('the server says, for users and for machines', async () => {
      const { answer } = await product.grant(await product.client());
      expect(lifetimeOf(answer)).toBe(600);
      expect(await lifetime([NOTES])).toBe(1200);
    });

    test('the resource says, shorter or longer than the server', async () => {
      expect(await lifetime([QUICK])).toBe(60);
      expect(await lifetime([SLOW])).toBe(7200);
    });

    test('the strictest of several resources says', async () => {
      expect(await lifetime([SLOW, QUICK])).toBe(60);
      expect(await lifetime([NOTES, QUICK])).toBe(60);
    });

    test('the client says, whatever resource and server say', async () => {
      expect(await lifetime([QUICK], { access_token_lifetime: 90 })).toBe(90);
      const client = await product.client({ access_token_lifetime: 45 });
      const { answer, tokens } = await product.grant(client);
      expect(lifetimeOf(answer)).toBe(45);
      expect(lifetimeOf(await product.refresh(client, tokens.refresh_token))).toBe(45);
    });

    test('they say, and not a second longer', async () => {
      const { tokens } = await product.grant(await product.client({ access_token_lifetime: 45 }));
      product.clock.advance(44);
      expect((await product.get('/oauth/userinfo', bearer(tokens.access_token))).status).toBe(200);
      product.clock.advance(1);
      expect((await product.get('/oauth/userinfo', bearer(tokens.access_token))).status).toBe(401);
      await expect(verifyAccessToken(product, tokens.access_token, ISSUER)).rejects.toThrow('"exp"');
    });
  });
});
