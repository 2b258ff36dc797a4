import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/app/config.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, claimsOf, ISSUER, Product } from '../product.ts';

const HOST = 'https://issuer.example';
const OAUTH = '//.well-known/oauth-authorization-server';
const OPENID = '/.well-known/openid-configuration';

describeEngines('metadata of an issuer with a path, where registration is open', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_DCR_MODE: 'open' });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('the well-known name comes before the path of the issuer (RFC 8414 section 3.1)', async () => {
    expect((await product.get(`${OAUTH}/auth`)).json.issuer).toBe(ISSUER);
    expect((await product.get(OAUTH)).status).toBe(404);
    expect((await product.get('/.well-known/oauth-authorization-server')).status).toBe(404);
  });

  test('OpenID Connect finds the same document after the path and before it (Discovery 4, RFC 8414 section 5)', async () => {
    const { body } = await product.get(`${OAUTH}/auth`);
    expect((await product.get(OPENID)).body).toBe(body);
    expect((await product.get(`/${OPENID}/auth`)).body).toBe(body);
  });

  test('an address with a slash too many is another address', async () => {
    for (const address of [`${OPENID}/`, `${OAUTH}/auth/`, `/${OPENID}/auth/`]) {
      expect((await product.get(address)).status, address).toBe(404);
    }
  });

  test('the issuer is byte-equal in metadata, tokens and authorization answers (RFC 8414 section 3.3, RFC 9207)', async () => {
    const client = await product.client();
    const { issuer } = (await product.get(OPENID)).json;
    const { back, tokens } = await product.grant(client);
    expect(issuer).toBe(ISSUER);
    expect(back.searchParams.get('iss')).toBe(issuer);
    expect(claimsOf(tokens.access_token).iss).toBe(issuer);
    expect(claimsOf(tokens.id_token).iss).toBe(issuer);
  });

  test.each([
    ['authorization_endpoint', 'GET', 400, undefined],
    ['token_endpoint', 'POST', 401, 'invalid_client'],
    ['introspection_endpoint', 'POST', 401, 'invalid_client'],
    ['revocation_endpoint', 'POST', 401, 'invalid_client'],
    ['userinfo_endpoint', 'GET', 401, 'invalid_token'],
    ['userinfo_endpoint', 'POST', 401, 'invalid_token'],
    ['end_session_endpoint', 'GET', 303, undefined],
    ['registration_endpoint', 'POST', 400, 'invalid_client_metadata'],
    ['jwks_uri', 'GET', 200, undefined],
  ])('the advertised %s answers to %s (section 2)', async (member, method, status, error) => {
    const { json } = await product.get(OPENID);
    expect(json[member]).toMatch(new RegExp(`^${ISSUER}/`));
    const answer = await product.call(method, json[member].slice(ISSUER.length));
    expect(answer.status).toBe(status);
    if (error !== undefined) expect(answer.json.error).toBe(error);
  });

  test('every member that ends in _endpoint is one of those just tried', async () => {
    const { json } = await product.get(OPENID);
    expect(Object.keys(json).filter((member) => member.endsWith('_endpoint'))).toEqual([
      'authorization_endpoint',
      'token_endpoint',
      'userinfo_endpoint',
      'introspection_endpoint',
      'revocation_endpoint',
      'end_session_endpoint',
      'registration_endpoint',
    ]);
  });

  test('what is announced is what OAuth 2.1 leaves and what the keys sign (RFC 8414 section 2, Discovery 3)', async () => {
    expect((await product.get(OPENID)).json).toMatchObject({
      response_types_supported: ['code'],
      response_modes_supported: ['query', 'form_post'],
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
      code_challenge_methods_supported: ['S256'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      token_endpoint_auth_methods_supported: [
        'none',
        'client_secret_basic',
        'client_secret_post',
        'private_key_jwt',
      ],
      authorization_response_iss_parameter_supported: true,
      claims_parameter_supported: true,
      claims_supported: expect.arrayContaining([
        'sub',
        'picture',
        'locale',
        'email_verified',
        'updated_at',
        'acr',
      ]),
      request_parameter_supported: false,
      request_uri_parameter_supported: false,
    });
  });

  test('public clients are announced for revocation, never for introspection (RFC 7662 section 2.1)', async () => {
    const { json } = await product.get(OPENID);
    expect(json.revocation_endpoint_auth_methods_supported).toContain('none');
    expect(json.introspection_endpoint_auth_methods_supported).not.toContain('none');
  });

  test('scopes_supported follows the catalogues of the resources, each scope once', async () => {
    const own = ['openid', 'profile', 'email', 'offline_access'];
    expect((await product.get(OPENID)).json.scopes_supported).toEqual(own);
    await product.resource('https://one.example', ['notes:read', 'notes:write']);
    await product.resource('https://two.example', ['notes:read', 'mail']);
    const { scopes_supported } = (await product.get(OPENID)).json;
    expect(scopes_supported.toSorted()).toEqual([...own, 'notes:read', 'notes:write', 'mail'].toSorted());
  });

  test.each([
    { host: 'evil.example' },
    { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' },
    { forwarded: 'host=evil.example;proto=http' },
  ])('addresses come from the settings, never from the request: %o', async (headers) => {
    const honest = await product.get(OPENID);
    const answer = await product.get(OPENID, headers as unknown as Record<string, string>);
    expect(answer.body).toBe(honest.body);
    expect(answer.body).not.toContain('evil.example');
  });

  test.each([OPENID, `${OAUTH}/auth`])(
    '%s is JSON, for five minutes, for caches and HEAD too',
    async (address) => {
      const answer = await product.get(address);
      expect(answer.headers).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'public, max-age=300',
      });
      const head = await product.call('HEAD', address);
      expect(head).toMatchObject({ status: 200, body: '' });
      expect(head.headers['cache-control']).toBe('public, max-age=300');
    },
  );

  test('metadata takes no other method', async () => {
    const answer = await product.post(OPENID, {});
    expect(answer.status).toBe(405);
    expect(answer.headers['allow']).toContain('GET');
  });
});

describeEngines('metadata of an issuer without a path, where only administrators register', (engine) => {
  let product: Product;
  const root = `/${OPENID}`;
  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_SERVER_ISSUER: HOST });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('both documents stand at the root and are equal (RFC 8414 section 3)', async () => {
    const [oauth, openid] = (await Promise.all([product.get(OAUTH), product.get(root)])) as [Answer, Answer];
    expect(oauth.body).toBe(openid.body);
    expect(oauth.json).toMatchObject({ issuer: HOST, token_endpoint: `${HOST}/oauth/token` });
    expect((await product.get('//.well-known/jwks.json')).json.keys).toHaveLength(1);
  });

  test('no registration_endpoint where nobody can register (section 2)', async () => {
    expect((await product.get(root)).json).not.toHaveProperty('registration_endpoint');
  });
});

describe('the issuer in the settings', () => {
  const load = (issuer: string) =>
    loadConfig({ file: undefined, terminal: false, env: { AUTHSERVER_SERVER_ISSUER: issuer } });

  test.each([
    ['https://issuer.example/', 'must not end with a slash'],
    ['https://issuer.example/auth/', 'must not end with a slash'],
    ['https://issuer.example?a=b', 'no query'],
    ['https://issuer.example#a', 'no fragment'],
    ['http://issuer.example', 'must be https'],
    ['https://ISSUER.example', 'https://issuer.example'],
  ])('%s is refused (RFC 8414 section 2)', async (issuer, reason) => {
    await expect(load(issuer)).rejects.toThrow(reason);
  });
});
