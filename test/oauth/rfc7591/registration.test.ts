import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, basic, bearer, CALLBACK, ISSUER, Product } from '../product.ts';

const METADATA = { client_name: 'Example App', redirect_uris: [CALLBACK] };
const JWK = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
  kid: 'one',
};

function register(product: Product, metadata: unknown, token?: string): Promise<Answer> {
  return product.call('POST', '/oauth/register', {
    json: metadata,
    ...(token !== undefined && { headers: bearer(token) }),
  });
}

/** What is stored under this id. */
function stored(product: Product, { json }: Answer) {
  return product.rooms.clients.find(json.client_id);
}

describeEngines('registration in the mode admin_only', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_DCR_DEFAULT_CLIENT_SCOPE: 'openid email' });
    await product.resource('https://notes.example', ['notes:read']);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('is refused to who brings no initial access token (RFC 7591 section 3)', async () => {
    const answer = await register(product, METADATA);
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  test('is refused to who brings a wrong one (RFC 6750 section 3.1)', async () => {
    const answer = await register(product, METADATA, 'wrong');
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="invalid_token"/);
    const withBasic = await product.call('POST', '/oauth/register', {
      json: METADATA,
      headers: basic('someone', 'secret'),
    });
    expect(withBasic).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  test('is open to the holder of an initial access token (section 3)', async () => {
    const answer = await register(product, METADATA, await product.initialAccessToken());
    expect(answer.status).toBe(201);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  });

  test('an initial access token is good for as many registrations as it says', async () => {
    const token = await product.initialAccessToken(2);
    expect((await register(product, METADATA, token)).status).toBe(201);
    expect((await register(product, METADATA, token)).status).toBe(201);
    expect(await register(product, METADATA, token)).toMatchObject({
      status: 401,
      json: { error: 'invalid_token' },
    });
  });

  test('20 registrations at once with a token for three: three win', async () => {
    const token = await product.initialAccessToken(3);
    const answers = await Promise.all(Array.from({ length: 20 }, () => register(product, METADATA, token)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([
      ...Array(3).fill(201),
      ...Array(17).fill(401),
    ]);
  });

  test('a refused registration costs no use of the token', async () => {
    const token = await product.initialAccessToken(1);
    expect((await register(product, { redirect_uris: ['nonsense'] }, token)).status).toBe(400);
    expect((await register(product, METADATA, token)).status).toBe(201);
  });

  test('an initial access token without a limit has none but its end', async () => {
    const token = await product.initialAccessToken(null, 100);
    for (let i = 0; i < 3; i++) expect((await register(product, METADATA, token)).status).toBe(201);
    product.clock.advance(100);
    expect((await register(product, METADATA, token)).status).toBe(401);
  });

  test('a client that an administrator vouched for may act for itself (RFC 6749 section 4.4)', async () => {
    const service = { grant_types: ['client_credentials'], scope: 'notes:read' };
    const vouching = await product.initialAccessToken(1, 3600, 'notes:read notes:list');
    const { status, json } = await register(product, service, vouching);
    expect(status).toBe(201);
    const token = await product.post(
      '/oauth/token',
      { grant_type: 'client_credentials' },
      basic(json.client_id, json.client_secret),
    );
    expect(token.json).toMatchObject({ scope: 'notes:read' });
  });
});

describeEngines('the scope of an initial access token', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_DCR_DEFAULT_CLIENT_SCOPE: 'openid email' });
    await product.resource('https://payments.example', ['payments:read', 'payments:admin']);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const service = (scope?: string) => ({ grant_types: ['client_credentials'], scope });
  const vouching = (scope: string) => product.initialAccessToken(1, 3600, scope);

  test('bounds the scope of a client that acts for itself', async () => {
    const token = await vouching('payments:read');
    for (const scope of ['payments:admin', 'payments:read payments:admin', 'openid payments:read']) {
      const answer = await register(product, service(scope), token);
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
      expect(answer.json.error_description).toContain('initial access token');
    }
    expect((await register(product, service('payments:read'), token)).json.scope).toBe('payments:read');
  });

  test('is what a client gets that acts for itself and names no scope', async () => {
    const { json } = await register(product, service(), await vouching('payments:read'));
    expect(json.scope).toBe('payments:read');
  });

  test('without one, a token is no word for a client that acts for itself', async () => {
    const token = await vouching('');
    for (const scope of [undefined, '', 'payments:admin']) {
      const answer = await register(product, service(scope), token);
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
      expect(answer.json.error_description).toContain('initial access token');
    }
    const both = { ...METADATA, grant_types: ['authorization_code', 'client_credentials'] };
    expect((await register(product, both, token)).json.grant_types).toEqual(['authorization_code']);
  });

  test('does not bound a client whose users consent', async () => {
    const metadata = { ...METADATA, scope: 'openid payments:admin' };
    const { json } = await register(product, metadata, await vouching('payments:read'));
    expect(json.scope).toBe('openid payments:admin');
  });
});

describeEngines('registration in the mode open', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, {
      AUTHSERVER_DCR_MODE: 'open',
      AUTHSERVER_DCR_DEFAULT_CLIENT_SCOPE: 'openid email',
    });
    await product.resource('https://notes.example', ['notes:read']);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('answers what was registered, with the defaults filled in (RFC 7591 sections 2 and 3.2.1)', async () => {
    const answer = await register(product, METADATA);
    expect(answer.status).toBe(201);
    const { client_id } = answer.json;
    expect(answer.json).toEqual({
      client_id: expect.stringMatching(/^cli_/),
      client_id_issued_at: product.clock.now() / 1000,
      client_secret: expect.stringMatching(/^[\w-]{43}$/),
      client_secret_expires_at: 0,
      client_name: 'Example App',
      application_type: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      redirect_uris: [CALLBACK],
      post_logout_redirect_uris: [],
      scope: 'openid email',
      contacts: [],
      registration_access_token: expect.stringMatching(/^[\w-]{43}$/),
      registration_client_uri: `${ISSUER}/oauth/register/${client_id}`,
    });
  });

  test('everything that a client may say of itself is kept (section 2)', async () => {
    const all = {
      redirect_uris: [CALLBACK, 'https://app.example/other'],
      post_logout_redirect_uris: ['https://app.example/bye'],
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'web',
      client_name: 'Example App',
      client_uri: 'https://app.example/',
      logo_uri: 'https://app.example/logo.png',
      tos_uri: 'https://app.example/terms',
      policy_uri: 'https://app.example/privacy',
      contacts: ['admin@app.example'],
      scope: 'openid profile',
      jwks: { keys: [JWK] },
    };
    expect((await register(product, all)).json).toMatchObject(all);
  });

  test('the registered client works: the whole code flow with its secret', async () => {
    const answer = await register(product, METADATA);
    const client = (await stored(product, answer))!;
    const browser = await product.signedIn((await product.user()).username);
    const { code, verifier } = await browser.authorize(client);
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: CALLBACK };
    const wrong = await product.post('/oauth/token', form, basic(client.id, 'wrong'));
    expect(wrong.status).toBe(401);
    const right = await product.post('/oauth/token', form, basic(client.id, answer.json.client_secret));
    expect(right.json).toMatchObject({ token_type: 'Bearer', id_token: expect.any(String) });
  });

  test('secrets and registration tokens are kept as hashes only', async () => {
    const answer = await register(product, METADATA);
    const row = JSON.stringify(await stored(product, answer));
    expect(row).not.toContain(answer.json.client_secret);
    expect(row).not.toContain(answer.json.registration_access_token);
  });

  test.each(['none', 'private_key_jwt'])(
    'a client with %s gets no secret (section 3.2.1)',
    async (method) => {
      const { status, json } = await register(product, {
        ...METADATA,
        token_endpoint_auth_method: method,
        jwks: { keys: [JWK] },
      });
      expect(status).toBe(201);
      expect(json).not.toHaveProperty('client_secret');
      expect(json).not.toHaveProperty('client_secret_expires_at');
    },
  );

  test('members that are unknown are ignored, and so is null (section 2)', async () => {
    const { status, json } = await register(product, {
      ...METADATA,
      favourite_colour: 'blue',
      software_statement: 'eyJ',
      'client_name#de': 'Beispiel',
      client_uri: null,
      client_id: 'cli_mine',
      client_secret: 'mine',
      registration_access_token: 'mine',
    });
    expect(status).toBe(201);
    for (const member of ['favourite_colour', 'software_statement', 'client_name#de', 'client_uri'])
      expect(json).not.toHaveProperty([member]);
    expect(json.client_id).not.toBe('cli_mine');
    expect(json.client_secret).not.toBe('mine');
    expect(json.registration_access_token).not.toBe('mine');
  });

  test('of a key, what a key consists of is kept, and nothing that came along with it', async () => {
    const junk = 'x'.repeat(10_000);
    const jwks = { keys: [{ ...JWK, use: 'sig', alg: 'EdDSA', junk, x5c: [junk], n: junk, y: junk }] };
    const answer = await register(product, { ...METADATA, jwks });
    const kept = { keys: [{ ...JWK, use: 'sig', alg: 'EdDSA' }] };
    expect(answer.json.jwks).toEqual(kept);
    expect((await stored(product, answer))?.jwks).toEqual(kept);
  });

  test('what only an administrator may set is not taken from a client', async () => {
    const answer = await register(product, {
      ...METADATA,
      skip_consent: true,
      require_pkce: false,
      audiences: ['https://notes.example'],
      access_token_lifetime: 86_400,
      refresh_token_lifetime: 86_400_000,
      refresh_token_absolute_lifetime: 86_400_000,
      status: 'active',
      source: 'admin',
    });
    expect(answer.status).toBe(201);
    for (const member of ['skip_consent', 'require_pkce', 'audiences', 'access_token_lifetime'])
      expect(answer.json).not.toHaveProperty(member);
    expect(await stored(product, answer)).toMatchObject({
      skip_consent: false,
      require_pkce: true,
      audiences: [],
      access_token_lifetime: null,
      refresh_token_lifetime: null,
      refresh_token_absolute_lifetime: null,
      source: 'dynamic',
    });
  });

  test('a client without a name is shown under its id (section 2)', async () => {
    const { json } = await register(product, { redirect_uris: [CALLBACK] });
    expect(json.client_name).toBe(json.client_id);
  });

  test('of the grants asked for, those that are offered are given (section 3.2.1)', async () => {
    const { json } = await register(product, {
      ...METADATA,
      grant_types: [
        'authorization_code',
        'refresh_token',
        'implicit',
        'urn:ietf:params:oauth:grant-type:jwt-bearer',
      ],
      response_types: ['code', 'token'],
    });
    expect(json).toMatchObject({
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    });
  });

  test('nobody gets tokens without a user by registering alone: client_credentials needs an administrator', async () => {
    const alone = await register(product, { grant_types: ['client_credentials'], scope: 'notes:read' });
    expect(alone).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
    const among = await register(product, {
      ...METADATA,
      grant_types: ['authorization_code', 'client_credentials'],
      scope: 'notes:read',
    });
    expect(among.json.grant_types).toEqual(['authorization_code']);
    const token = await product.post(
      '/oauth/token',
      { grant_type: 'client_credentials' },
      basic(among.json.client_id, among.json.client_secret),
    );
    expect(token.json.error).toBe('unauthorized_client');
  });

  test.each([
    ['a fragment', 'https://app.example/cb#x'],
    ['a wildcard', 'https://*.example/cb'],
    ['plain http', 'http://app.example/cb'],
    ['a script', 'javascript:alert(1)'],
    ['a private-use scheme of a web application', 'com.example.app:/cb'],
    ['a relative address', '/cb'],
    ['a dot segment', 'https://app.example/a/../cb'],
  ])('invalid_redirect_uri for %s (section 3.2.2)', async (_, uri) => {
    const answer = await register(product, { redirect_uris: [CALLBACK, uri] });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_redirect_uri' } });
    expect(answer.json.error_description).toContain('redirect_uris[1]');
  });

  test('invalid_redirect_uri without any, where the grant needs one (section 2)', async () => {
    const answer = await register(product, { client_name: 'Example App' });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_redirect_uri' } });
  });

  test.each<[string, object]>([
    ['an unknown authentication method', { token_endpoint_auth_method: 'client_secret_jwt' }],
    ['private_key_jwt without keys', { token_endpoint_auth_method: 'private_key_jwt' }],
    ['a private key', { jwks: { keys: [{ ...JWK, d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A' }] } }],
    ['a symmetric key', { jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } }],
    ['a key with a name that never ends', { jwks: { keys: [{ ...JWK, kid: 'k'.repeat(2049) }] } }],
    ['more keys than anybody needs', { jwks: { keys: Array.from({ length: 21 }, () => JWK) } }],
    ['no key set', { jwks: 'https://app.example/jwks' }],
    ['jwks_uri, which is not supported', { jwks_uri: 'https://app.example/jwks' }],
    ['no grant that is offered', { grant_types: ['implicit'] }],
    ['refresh_token alone', { grant_types: ['refresh_token'] }],
    ['response types that do not fit the grants (section 2.1)', { response_types: ['token'] }],
    ['an unknown application type', { application_type: 'service' }],
    ['a name with control characters', { client_name: 'Example\u202eApp' }],
    ['a name that nobody sees', { client_name: '\u200b\u2060' }],
    ['a name of spaces', { client_name: '   ' }],
    ['a name with an invisible part', { client_name: 'Example\u200bApp' }],
    ['a page that is a script', { client_uri: 'javascript:alert(1)' }],
    ['a logo on plain http', { logo_uri: 'http://app.example/logo.png' }],
    ['a scope that is none', { scope: 'openid  email' }],
    ['a number for a name', { client_name: 7 }],
    ['a post-logout address that is a script', { post_logout_redirect_uris: ['javascript:alert(1)'] }],
    ['more redirect URIs than anybody needs', { redirect_uris: Array(51).fill(CALLBACK), client_name: 7 }],
  ])('invalid_client_metadata for %s (section 3.2.2)', async (_, changes) => {
    const answer = await register(product, { ...METADATA, ...changes });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
  });

  test.each([[[]], ['text'], [null], [7]])(
    'invalid_client_metadata for a body that is no object: %o',
    async (body) => {
      const answer = await register(product, body);
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
    },
  );

  test.each([
    ['application/json', '{"redirect_uris":'],
    ['application/x-www-form-urlencoded', 'redirect_uris=https://app.example'],
    ['text/plain', '{}'],
  ])('invalid_request for a body of %s that is not JSON', async (type, body) => {
    const answer = await product.call('POST', '/oauth/register', { body, headers: { 'content-type': type } });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  test('a wrong initial access token is refused although none is needed', async () => {
    expect((await register(product, METADATA, 'wrong')).status).toBe(401);
  });

  test('a native application may have a private-use scheme and loopback addresses (RFC 8252 section 7)', async () => {
    const redirect_uris = [
      'com.example.app:/cb',
      'http://127.0.0.1/cb',
      'http://[::1]/cb',
      'http://localhost:1/cb',
    ];
    const native = { redirect_uris, application_type: 'native', token_endpoint_auth_method: 'none' };
    expect((await register(product, native)).json).toMatchObject({ redirect_uris });
  });
});

describeEngines('registration in the mode approved_redirects', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, {
      AUTHSERVER_DCR_MODE: 'approved_redirects',
      AUTHSERVER_DCR_APPROVED_REDIRECTS: `${CALLBACK},https://app.example/other`,
    });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('is open to redirect URIs that an administrator approved, byte for byte', async () => {
    expect((await register(product, METADATA)).status).toBe(201);
    expect((await register(product, { redirect_uris: [CALLBACK, 'https://app.example/other'] })).status).toBe(
      201,
    );
    for (const uri of [
      `${CALLBACK}/`,
      `${CALLBACK}?a=b`,
      'https://app.example',
      'https://evil.example/callback',
    ])
      expect(await register(product, { redirect_uris: [CALLBACK, uri] }), uri).toMatchObject({
        status: 400,
        json: { error: 'invalid_redirect_uri' },
      });
  });

  test('is closed to other post-logout addresses: sign-out would lead there under our name', async () => {
    const evil = { ...METADATA, post_logout_redirect_uris: [CALLBACK, 'https://evil.example/bye'] };
    const answer = await register(product, evil);
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
    expect(answer.json.error_description).toContain('post_logout_redirect_uris');
    const good = { ...METADATA, post_logout_redirect_uris: ['https://app.example/other'] };
    expect((await register(product, good)).status).toBe(201);
    expect((await register(product, evil, await product.initialAccessToken())).status).toBe(201);
  });

  test('does not tell which ones are approved', async () => {
    const { body } = await register(product, { redirect_uris: ['https://evil.example/callback'] });
    expect(body).not.toContain('app.example');
  });

  test('an initial access token vouches for other ones', async () => {
    const token = await product.initialAccessToken();
    const uris = { redirect_uris: ['https://vouched.example/callback'] };
    expect((await register(product, uris, token)).status).toBe(201);
  });

  test('metadata names the endpoint (RFC 8414 section 2)', async () => {
    const { json } = await product.get('/.well-known/openid-configuration');
    expect(json.registration_endpoint).toBe(`${ISSUER}/oauth/register`);
  });
});
