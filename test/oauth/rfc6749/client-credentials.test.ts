import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { writeClient } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { bearer, claimsOf, type Fields, ISSUER, Product } from '../product.ts';

const NOTES = 'https://notes.example';
const MAIL = 'https://mail.example';
const OPEN = 'https://open.example';

describeEngines('the client credentials grant', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine);
    await product.resource(NOTES, ['notes:read', 'notes:write']);
    await product.resource(MAIL, ['mail:read']);
    await product.resource(OPEN, []);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const ask = (client: Client, form: Fields = {}) =>
    product.token(client, { grant_type: 'client_credentials', ...form });

  test('gives a client what it asks for within its ceiling (RFC 6749 section 4.4.2)', async () => {
    const service = await product.service('notes:read notes:write');
    const answer = await ask(service, { scope: 'notes:read' });
    expect(answer).toMatchObject({
      status: 200,
      json: { token_type: 'Bearer', scope: 'notes:read', expires_in: 3600 },
    });
    expect(claimsOf(answer.json.access_token)).toMatchObject({
      sub: service.id,
      aud: [ISSUER, NOTES],
      scope: 'notes:read',
    });
  });

  test('without a scope gives the whole ceiling (section 3.3)', async () => {
    const { json } = await ask(await product.service('notes:read mail:read'));
    expect(json.scope).toBe('notes:read mail:read');
  });

  test('without a scope but with a resource gives the part of the ceiling that lives there', async () => {
    const { json } = await ask(await product.service('notes:read mail:read'), { resource: NOTES });
    expect(json.scope).toBe('notes:read');
    expect(claimsOf(json.access_token)).toMatchObject({ aud: NOTES, scope: 'notes:read' });
  });

  test.each(['notes:write', 'notes:read notes:write', 'unknown'])(
    'beyond the ceiling is invalid_scope: %s (section 5.2)',
    async (scope) => {
      const answer = await ask(await product.service('notes:read'), { scope });
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
    },
  );

  test.each(['openid', 'profile', 'email', 'offline_access'])(
    'the scope %s speaks of a user and is refused, even within the ceiling',
    async (scope) => {
      const answer = await ask(await product.service('notes:read openid profile email offline_access'), {
        scope,
      });
      expect(answer.json.error).toBe('invalid_scope');
    },
  );

  test('scopes of users in the ceiling are no part of the default', async () => {
    const { json } = await ask(await product.service('openid notes:read email'));
    expect(json.scope).toBe('notes:read');
  });

  test.each(['notes:read  notes:write', ' notes:read', 'notes:"read"', 'notes:réad'])(
    'what is no list of scope tokens is invalid_scope: "%s" (section 3.3)',
    async (scope) => {
      expect((await ask(await product.service('notes:read notes:write'), { scope })).json.error).toBe(
        'invalid_scope',
      );
    },
  );

  test('comes without refresh token and ID token (section 4.4.3)', async () => {
    const { json } = await ask(await product.service('notes:read'));
    expect(Object.keys(json).toSorted()).toEqual(['access_token', 'expires_in', 'scope', 'token_type']);
  });

  test('is never cached (section 5.1)', async () => {
    const { headers } = await ask(await product.service());
    expect(headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  });

  test('an empty ceiling gives a token for nothing but the issuer, without any scope (decision 0003)', async () => {
    const service = await product.service('');
    const { json } = await ask(service);
    expect(json).not.toHaveProperty('scope');
    expect(claimsOf(json.access_token).aud).toBe(ISSUER);
    expect((await product.get('/oauth/userinfo', bearer(json.access_token))).status).toBe(403);
    expect((await ask(service, { scope: 'notes:read' })).json.error).toBe('invalid_scope');
  });

  test('an empty ceiling does not give the catalogue of a named resource (decision 0003)', async () => {
    const answer = await ask(await product.service(''), { resource: NOTES });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
  });

  test('a resource at which the client may do nothing is invalid_target, alone and among others (decision 0003)', async () => {
    const service = await product.service('notes:read');
    expect((await ask(service, { resource: MAIL })).json.error).toBe('invalid_target');
    expect((await ask(service, { resource: [NOTES, MAIL] })).json.error).toBe('invalid_target');
  });

  test('a named resource at which the scope asked for means nothing is refused', async () => {
    const service = await product.service('notes:read mail:read');
    expect((await ask(service, { resource: MAIL, scope: 'notes:read' })).json.error).toBe('invalid_scope');
    expect((await ask(service, { resource: [NOTES, MAIL], scope: 'notes:read' })).json.error).toBe(
      'invalid_target',
    );
  });

  test.each(['https://unknown.example', `${NOTES}/`, `${NOTES}#part`, 'notes', 'https://NOTES.example'])(
    'a resource that is not registered byte for byte is invalid_target: %s (RFC 8707 section 2)',
    async (resource) => {
      const answer = await ask(await product.service('notes:read'), { resource });
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
    },
  );

  test('nobody was given anything at a resource without a catalogue, nor at the issuer: invalid_target', async () => {
    const service = await product.service('notes:read openid');
    for (const resource of [OPEN, ISSUER, [NOTES, OPEN], [NOTES, ISSUER]])
      expect(await ask(service, { resource })).toMatchObject({
        status: 400,
        json: { error: 'invalid_target' },
      });
  });

  test('is not for public clients, whatever they are registered for (section 4.4)', async () => {
    const service = await product.service('notes:read');
    // Registration refuses this combination; a row from elsewhere must not get through either.
    const record = writeClient({ ...service, token_endpoint_auth_method: 'none' });
    await product.rooms.store.clients.update({ client: record });
    const answer = await product.post('/oauth/token', {
      grant_type: 'client_credentials',
      client_id: service.id,
    });
    expect(answer).toMatchObject({ status: 400, json: { error: 'unauthorized_client' } });
  });

  test('is not for clients that are not registered for it (section 5.2)', async () => {
    const answer = await ask(await product.client());
    expect(answer).toMatchObject({ status: 400, json: { error: 'unauthorized_client' } });
  });

  test('ends at once when the client is disabled', async () => {
    const service = await product.service('notes:read');
    const guard = await product.service('', { audiences: [NOTES] });
    const { json } = await ask(service);
    expect(await product.isActive(guard, json.access_token)).toBe(true);
    await product.setClientStatus(service, 'disabled');
    expect(await product.isActive(guard, json.access_token)).toBe(false);
    expect(await ask(service)).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });
});

describeEngines('without client_credentials.enabled', (engine) => {
  test('the grant is not there: not at the token endpoint, not in the metadata, not in registration', async () => {
    await using product = await Product.open(engine, {
      AUTHSERVER_CLIENT_CREDENTIALS_ENABLED: 'false',
      AUTHSERVER_DCR_MODE: 'open',
    });
    const service = await product.service();
    const answer = await product.token(service, { grant_type: 'client_credentials' });
    expect(answer).toMatchObject({ status: 400, json: { error: 'unsupported_grant_type' } });
    const { json } = await product.get('/.well-known/openid-configuration');
    expect(json.grant_types_supported).toEqual(['authorization_code', 'refresh_token']);
    const registration = await product.call('POST', '/oauth/register', {
      json: { grant_types: ['client_credentials'] },
      headers: bearer(await product.initialAccessToken(1, 3600, 'openid')),
    });
    expect(registration).toMatchObject({ status: 400, json: { error: 'invalid_client_metadata' } });
  });
});
