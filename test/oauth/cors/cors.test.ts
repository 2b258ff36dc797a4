import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, Product } from '../product.ts';

const ORIGIN = 'https://app.example';

const OPEN: readonly (readonly [method: string, address: string])[] = [
  ['GET', '/.well-known/openid-configuration'],
  ['GET', '//.well-known/openid-configuration/auth'],
  ['GET', '//.well-known/oauth-authorization-server/auth'],
  ['GET', '/.well-known/jwks.json'],
  ['POST', '/oauth/token'],
  ['GET', '/oauth/userinfo'],
  ['POST', '/oauth/userinfo'],
  ['POST', '/oauth/revoke'],
  ['POST', '/oauth/register'],
  ['GET', '/oauth/register/cli_1'],
  ['PUT', '/oauth/register/cli_1'],
  ['DELETE', '/oauth/register/cli_1'],
];

/** Pages, which browsers visit, and introspection, which is for servers. */
const CLOSED: readonly (readonly [method: string, address: string])[] = [
  ['GET', '/'],
  ['GET', '/oauth/authorize'],
  ['POST', '/oauth/authorize'],
  ['GET', '/oauth/authorize/resume'],
  ['POST', '/oauth/introspect'],
  ['GET', '/oauth/logout'],
  ['POST', '/oauth/logout'],
  ['GET', '/signin'],
  ['POST', '/signin'],
  ['GET', '/consent'],
  ['GET', '/signout'],
  ['GET', '/account'],
];

function corsHeadersOf({ headers }: Answer): readonly string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-'));
}

function preflight(product: Product, address: string, method: string, origin = ORIGIN): Promise<Answer> {
  return product.call('OPTIONS', address, {
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,dpop',
    },
  });
}

describeEngines('pages of other origins', (engine) => {
  describe('by default', () => {
    let product: Product;
    beforeAll(async () => {
      product = await Product.open(engine);
    });
    afterAll(() => product[Symbol.asyncDispose]());

    test.each(OPEN)(
      '%s %s can be read from anywhere, without cookies (Fetch standard section 3.3)',
      async (method, address) => {
        const answer = await product.call(method, address, { headers: { origin: ORIGIN } });
        expect(answer.headers['access-control-allow-origin']).toBe('*');
        expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
      },
    );

    test.each(OPEN)(
      '%s %s shows DPoP-Nonce and WWW-Authenticate (RFC 9449 section 8, RFC 6750 section 3)',
      async (method, address) => {
        const { headers } = await product.call(method, address, { headers: { origin: ORIGIN } });
        const exposed = headers['access-control-expose-headers']?.toLowerCase().split(', ');
        expect(exposed).toEqual(expect.arrayContaining(['dpop-nonce', 'www-authenticate']));
      },
    );

    test.each(OPEN)('a preflight for %s %s is answered', async (method, address) => {
      const answer = await preflight(product, address, method);
      expect(answer).toMatchObject({ status: 204, body: '' });
      expect(answer.headers['access-control-allow-methods']?.split(', ')).toContain(method);
      expect(answer.headers['access-control-allow-headers']?.split(', ')).toEqual(
        expect.arrayContaining(['authorization', 'content-type', 'dpop']),
      );
      expect(Number(answer.headers['access-control-max-age'])).toBeGreaterThan(0);
      expect(answer.headers['access-control-allow-origin']).toBe('*');
      expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
    });

    test.each(CLOSED)('%s %s cannot be read by them', async (method, address) => {
      const answer = await product.call(method, address, { headers: { origin: ORIGIN } });
      expect(corsHeadersOf(answer)).toEqual([]);
      const asked = await preflight(product, address, method);
      expect(asked.status).toBe(405);
      expect(corsHeadersOf(asked)).toEqual([]);
    });

    test('a refusal can be read as well as a success, with its challenge', async () => {
      const answer = await product.get('/oauth/userinfo', { origin: ORIGIN });
      expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
      expect(answer.headers['access-control-allow-origin']).toBe('*');
      const wrongMethod = await product.call('PUT', '/oauth/token', { headers: { origin: ORIGIN } });
      expect(wrongMethod).toMatchObject({ status: 405, headers: { 'access-control-allow-origin': '*' } });
    });

    test('a browser application without a secret can go the whole way: metadata, token, UserInfo, revocation', async () => {
      const headers = { origin: ORIGIN };
      const client = await product.client({ token_endpoint_auth_method: 'none' });
      const browser = await product.signedIn((await product.user()).username);
      const { code, verifier } = await browser.authorize(client);
      const form = { grant_type: 'authorization_code', client_id: client.id, code, code_verifier: verifier };
      const token = await product.post(
        '/oauth/token',
        { ...form, redirect_uri: client.redirect_uris[0] },
        headers,
      );
      expect(token).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': '*' } });
      const authorization = `Bearer ${token.json.access_token}`;
      const userInfo = await product.get('/oauth/userinfo', { ...headers, authorization });
      expect(userInfo).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': '*' } });
      const revoked = { client_id: client.id, token: token.json.refresh_token };
      const revocation = await product.post('/oauth/revoke', revoked, headers);
      expect(revocation).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': '*' } });
    });
  });

  describe('with server.allowed_origins', () => {
    let product: Product;
    beforeAll(async () => {
      const origins = `${ORIGIN},https://other.example:8443`;
      product = await Product.open(engine, { AUTHSERVER_SERVER_ALLOWED_ORIGINS: origins });
    });
    afterAll(() => product[Symbol.asyncDispose]());

    test.each([ORIGIN, 'https://other.example:8443'])(
      '%s is let in by name, and caches keep it apart',
      async (origin) => {
        const answer = await product.get('/.well-known/jwks.json', { origin });
        expect(answer.headers).toMatchObject({ 'access-control-allow-origin': origin, vary: 'origin' });
        expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
        const asked = await preflight(product, '/oauth/token', 'POST', origin);
        expect(asked).toMatchObject({ status: 204, headers: { 'access-control-allow-origin': origin } });
      },
    );

    test.each([
      'https://evil.example',
      'http://app.example',
      'https://app.example:444',
      'https://app.example.evil.example',
      'https://APP.example',
      'null',
    ])('%s is not', async (origin) => {
      for (const answer of [
        await product.get('/.well-known/jwks.json', { origin }),
        await preflight(product, '/oauth/token', 'POST', origin),
      ]) {
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
        expect(answer.headers['vary']).toBe('origin');
      }
    });
  });
});
