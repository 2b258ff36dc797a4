import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeClient } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, basic, bearer, CALLBACK, ISSUER, Product } from '../product.ts';

const METADATA = {
  client_name: 'Example App',
  redirect_uris: [CALLBACK],
  grant_types: ['authorization_code', 'refresh_token'],
};

interface Registered {
  readonly client_id: string;
  readonly client_secret: string;
  readonly client_secret_expires_at: number;
  readonly registration_access_token: string;
  readonly registration_client_uri: string;
}

describeEngines('management of a registration', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, {
      AUTHSERVER_DCR_MODE: 'approved_redirects',
      AUTHSERVER_DCR_APPROVED_REDIRECTS: `${CALLBACK},https://app.example/other`,
      AUTHSERVER_DCR_DEFAULT_CLIENT_SCOPE: 'openid email',
    });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const register = async (metadata: object = METADATA, token?: string): Promise<Registered> => {
    const call = { json: metadata, ...(token !== undefined && { headers: bearer(token) }) };
    const answer = await product.call('POST', '/oauth/register', call);
    expect(answer.status).toBe(201);
    return answer.json;
  };

  /** Calls the address that registration answered, with its token unless another one is given. */
  const manage = (
    method: string,
    registered: Registered,
    call: { json?: unknown; token?: string } = {},
  ): Promise<Answer> =>
    product.call(method, registered.registration_client_uri.slice(ISSUER.length), {
      ...(call.json !== undefined && { json: call.json }),
      headers: bearer(call.token ?? registered.registration_access_token),
    });

  const put = (registered: Registered, changes: object) =>
    manage('PUT', registered, { json: { client_id: registered.client_id, ...METADATA, ...changes } });

  test('GET answers the client as it is now, with the means to manage it (RFC 7592 section 2.1)', async () => {
    const registered = await register();
    const answer = await manage('GET', registered);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
    const { client_secret: _, client_secret_expires_at: __, ...rest } = registered;
    expect(answer.json).toEqual(rest);
  });

  test('a secret is shown once: GET and PUT do not repeat it', async () => {
    const registered = await register();
    expect((await manage('GET', registered)).json).not.toHaveProperty('client_secret');
    expect((await put(registered, {})).json).not.toHaveProperty('client_secret');
  });

  test.each(['GET', 'PUT', 'DELETE'])(
    '%s with a wrong token is refused, and nothing happens (section 2)',
    async (method) => {
      const [registered, other] = [await register(), await register()];
      const json = { client_id: registered.client_id, ...METADATA, client_name: 'Taken over' };
      for (const token of ['wrong', other.registration_access_token, registered.client_secret]) {
        const answer = await manage(method, registered, { token, ...(method === 'PUT' && { json }) });
        expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
        expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="invalid_token"/);
      }
      expect((await manage('GET', registered)).json.client_name).toBe('Example App');
    },
  );

  test.each(['GET', 'PUT', 'DELETE'])(
    '%s without a token is only told how (RFC 6750 section 3.1)',
    async (method) => {
      const { registration_client_uri } = await register();
      const answer = await product.call(method, registration_client_uri.slice(ISSUER.length));
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
    },
  );

  test('a client that an administrator made cannot be managed, nor one that there is not: both look the same', async () => {
    const registered = await register();
    const { id } = await product.client();
    const at = (name: string) => ({
      ...registered,
      registration_client_uri: `${ISSUER}/oauth/register/${name}`,
    });
    const [made, unknown] = [await manage('GET', at(id)), await manage('GET', at('cli_unknown'))];
    expect(made.status).toBe(401);
    expect(unknown.status).toBe(401);
    expect(unknown.body).toBe(made.body);
  });

  test('PUT replaces the metadata; members left out return to their defaults, the scope stays (section 2.2)', async () => {
    const registered = await register({ ...METADATA, client_uri: 'https://app.example/', scope: 'openid' });
    const answer = await manage('PUT', registered, {
      json: { client_id: registered.client_id, redirect_uris: ['https://app.example/other'] },
    });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      client_id: registered.client_id,
      redirect_uris: ['https://app.example/other'],
      grant_types: ['authorization_code'],
      scope: 'openid',
      registration_access_token: registered.registration_access_token,
    });
    expect(answer.json).not.toHaveProperty('client_uri');
    expect((await manage('GET', registered)).json).toEqual(answer.json);
  });

  test('PUT without a client_name names the client by its id (RFC 7591 section 2)', async () => {
    const registered = await register();
    const { json } = await put(registered, { client_name: undefined });
    expect(json.client_name).toBe(registered.client_id);
    expect((await manage('GET', registered)).json.client_name).toBe(registered.client_id);
  });

  test('PUT at the moment of being disabled or removed brings nothing back', async () => {
    for (let round = 0; round < 10; round++) {
      const [disabled, removed] = [await register(), await register()];
      const client = (await product.rooms.clients.find(disabled.client_id))!;
      await Promise.all([put(disabled, {}), product.setClientStatus(client, 'disabled'), put(disabled, {})]);
      expect((await product.rooms.clients.find(client.id))?.status).toBe('disabled');
      const [answer, gone] = await Promise.all([put(removed, {}), manage('DELETE', removed)]);
      expect([200, 401]).toContain(answer.status);
      expect(gone.status).toBe(204);
      expect(await product.rooms.clients.find(removed.client_id)).toBeUndefined();
    }
  });

  test('PUT takes effect at once: the old redirect URI is no good any more', async () => {
    const registered = await register();
    const client = (await product.rooms.clients.find(registered.client_id))!;
    await put(registered, { redirect_uris: ['https://app.example/other'] });
    const { answer } = await product.browser().ask(client);
    expect(answer.status).toBe(400);
  });

  test('what GET answered can be sent back with PUT as it is', async () => {
    const registered = await register();
    const { json } = await manage('GET', registered);
    expect(await manage('PUT', registered, { json })).toMatchObject({ status: 200, json });
  });

  test('PUT must name its client, and may repeat the present secret but not set one (section 2.2)', async () => {
    const registered = await register();
    const refused = { status: 400, json: { error: 'invalid_client_metadata' } };
    expect(await manage('PUT', registered, { json: METADATA })).toMatchObject(refused);
    expect(await put(registered, { client_id: 'cli_other' })).toMatchObject(refused);
    expect(await put(registered, { client_secret: 'a secret of my own choice' })).toMatchObject(refused);
    expect(await put(registered, { client_secret: 7 })).toMatchObject(refused);
    expect((await put(registered, { client_secret: registered.client_secret })).status).toBe(200);
  });

  test('PUT cannot change how the client authenticates', async () => {
    const registered = await register();
    const answer = await put(registered, { token_endpoint_auth_method: 'none' });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
  });

  test.each<[string, object]>([
    ['invalid_redirect_uri', { redirect_uris: ['https://app.example/cb#x'] }],
    ['invalid_redirect_uri', { redirect_uris: [] }],
    ['invalid_client_metadata', { grant_types: ['implicit'] }],
    ['invalid_client_metadata', { client_name: 7 }],
  ])(
    'PUT is checked as registration is: %s for %o, and then nothing changes (section 2.2)',
    async (error, changes) => {
      const registered = await register();
      const before = (await manage('GET', registered)).json;
      expect(await put(registered, changes)).toMatchObject({ status: 400, json: { error } });
      expect((await manage('GET', registered)).json).toEqual(before);
    },
  );

  test.each([[[]], ['text'], [null]])('PUT of a body that is no object is refused: %o', async (json) => {
    const answer = await manage('PUT', await register(), { json });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
  });

  test('PUT cannot bring in a redirect URI that nobody approved, but keeps those that were vouched for', async () => {
    const vouched = 'https://vouched.example/callback';
    const registered = await register(
      { ...METADATA, redirect_uris: [vouched] },
      await product.initialAccessToken(),
    );
    expect((await put(registered, { redirect_uris: [vouched, CALLBACK] })).status).toBe(200);
    expect(
      await put(registered, { redirect_uris: [vouched, 'https://evil.example/callback'] }),
    ).toMatchObject({
      status: 400,
      json: { error: 'invalid_redirect_uri' },
    });
  });

  test('PUT cannot bring in a post-logout address that nobody approved, but keeps those that were vouched for', async () => {
    const vouched = 'https://vouched.example/bye';
    const registered = await register(
      { ...METADATA, post_logout_redirect_uris: [vouched] },
      await product.initialAccessToken(),
    );
    expect((await put(registered, { post_logout_redirect_uris: [vouched, CALLBACK] })).status).toBe(200);
    expect(
      await put(registered, { post_logout_redirect_uris: [vouched, 'https://evil.example/bye'] }),
    ).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
  });

  test('PUT cannot set what only an administrator may, nor undo what one did', async () => {
    const registered = await register();
    const client = (await product.rooms.clients.find(registered.client_id))!;
    const byAdministrator = {
      audiences: ['https://notes.example'],
      skip_consent: true,
      access_token_lifetime: 60_000,
      refresh_token_lifetime: 120_000,
      refresh_token_absolute_lifetime: 180_000,
    };
    await product.rooms.store.clients.update({ client: writeClient({ ...client, ...byAdministrator }) });
    const answer = await put(registered, {
      audiences: ['https://mail.example'],
      skip_consent: false,
      require_pkce: false,
      access_token_lifetime: 86_400,
      refresh_token_lifetime: 86_400,
      status: 'disabled',
    });
    expect(answer.status).toBe(200);
    expect(await product.rooms.clients.find(registered.client_id)).toMatchObject({
      ...byAdministrator,
      require_pkce: true,
      status: 'active',
    });
  });

  test('PUT cannot open the client credentials grant', async () => {
    const registered = await register();
    const among = await put(registered, { grant_types: ['authorization_code', 'client_credentials'] });
    expect(among.json.grant_types).toEqual(['authorization_code']);
    expect((await put(registered, { grant_types: ['client_credentials'] })).status).toBe(400);
  });

  test('PUT cannot extend the scope of a client that acts for itself', async () => {
    await product.resource('https://notes.example', ['notes:read', 'notes:write']);
    const service = { grant_types: ['client_credentials'], redirect_uris: [], scope: 'notes:read' };
    const vouching = await product.initialAccessToken(1, 3600, 'notes:read notes:write');
    const registered = await register(service, vouching);
    expect((await put(registered, { ...service, scope: 'notes:read' })).status).toBe(200);
    expect((await put(registered, { ...service, scope: undefined })).json.scope).toBe('notes:read');
    expect(await put(registered, { ...service, scope: 'notes:read notes:write' })).toMatchObject({
      status: 400,
      json: { error: 'invalid_client_metadata' },
    });
  });

  test('PUT keeps to the scope that an administrator narrowed, and cannot shake it off', async () => {
    const registered = await register({ ...METADATA, scope: 'openid email profile' });
    const client = (await product.rooms.clients.find(registered.client_id))!;
    const narrow = (scope: string) =>
      product.rooms.store.clients.update({ client: writeClient({ ...client, scope }) });
    await narrow('openid profile');
    for (const scope of [undefined, '']) {
      const { status, json } = await put(registered, { scope });
      expect([status, json.scope]).toEqual([200, 'openid profile']);
    }
    expect(await put(registered, { scope: 'openid email' })).toMatchObject({
      status: 400,
      json: { error: 'invalid_client_metadata' },
    });
    expect((await put(registered, { scope: 'openid' })).json.scope).toBe('openid');
    expect((await put(registered, { scope: 'openid profile' })).status).toBe(400);
  });

  test('PUT leaves a client that acts for itself without any scope where an administrator took it all', async () => {
    const service = { grant_types: ['client_credentials'], redirect_uris: [], scope: undefined };
    const registered = await register(service, await product.initialAccessToken(1, 3600, 'openid email'));
    const client = (await product.rooms.clients.find(registered.client_id))!;
    await product.rooms.store.clients.update({ client: writeClient({ ...client, scope: '' }) });
    expect((await put(registered, { ...service, scope: 'openid' })).status).toBe(400);
    expect((await put(registered, service)).json.scope).toBe('');
  });

  test('DELETE ends the client, its tokens and its management (section 2.3)', async () => {
    const registered = await register();
    const client = (await product.rooms.clients.find(registered.client_id))!;
    const browser = await product.signedIn((await product.user()).username);
    const { code, verifier } = await browser.authorize(client);
    const asClient = (address: string, form: Record<string, string>) =>
      product.post(address, form, basic(registered.client_id, registered.client_secret));
    const { json: tokens } = await asClient('/oauth/token', {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
    });
    expect((await product.get('/oauth/userinfo', bearer(tokens.access_token))).status).toBe(200);

    const answer = await manage('DELETE', registered);
    expect(answer).toMatchObject({ status: 204, body: '' });
    expect((await product.get('/oauth/userinfo', bearer(tokens.access_token))).status).toBe(401);
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token };
    expect(await asClient('/oauth/token', refresh)).toMatchObject({
      status: 401,
      json: { error: 'invalid_client' },
    });
    expect((await manage('GET', registered)).status).toBe(401);
    expect((await manage('DELETE', registered)).status).toBe(401);
    expect((await browser.ask(client)).answer.status).toBe(400);
  });

  test('a disabled client cannot manage itself back', async () => {
    const registered = await register();
    const client = (await product.rooms.clients.find(registered.client_id))!;
    await product.setClientStatus(client, 'disabled');
    expect((await manage('GET', registered)).status).toBe(401);
    expect((await put(registered, {})).status).toBe(401);
    expect((await product.rooms.clients.find(registered.client_id))?.status).toBe('disabled');
  });
});
