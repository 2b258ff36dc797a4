// The token endpoint itself: what it takes and how it answers, whatever the grant.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Browser, basic, Product, query, SECRET } from '../product.ts';

describeEngines('the token endpoint (RFC 6749 section 3.2)', (engine) => {
  let product: Product;
  let client: Client;
  let service: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    service = await product.service();
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const ofService = { grant_type: 'client_credentials' };
  const body = () => query({ ...ofService, client_id: service.id, client_secret: SECRET });

  test('grant_type is required: without it, invalid_request (section 4.1.3)', async () => {
    const { status, json } = await product.token(client, { code: 'a code' });
    expect([status, json.error]).toEqual([400, 'invalid_request']);
  });

  test.each([
    'password',
    'implicit',
    'Authorization_Code',
    'urn:ietf:params:oauth:grant-type:device_code',
    '__proto__',
  ])(
    'a grant type that this server has not, %s, is unsupported_grant_type (section 5.2)',
    async (grant_type) => {
      const { status, json } = await product.token(client, { grant_type });
      expect([status, json.error]).toEqual([400, 'unsupported_grant_type']);
    },
  );

  test.each(['client_credentials', 'refresh_token'])(
    'a client that is not registered for the grant type %s is told unauthorized_client (section 5.2)',
    async (grant_type) => {
      const codeOnly = await product.client({ grant_types: ['authorization_code'] });
      const { status, json } = await product.token(codeOnly, { grant_type, refresh_token: 'rt_' });
      expect([status, json.error]).toEqual([400, 'unauthorized_client']);
    },
  );

  test.each([
    ['authorization_code', 'code'],
    ['refresh_token', 'refresh_token'],
  ])('the grant type %s needs the parameter %s: without it, invalid_request', async (grant_type) => {
    const { status, json } = await product.token(client, { grant_type });
    expect([status, json.error]).toEqual([400, 'invalid_request']);
  });

  test.each(['grant_type', 'code', 'redirect_uri', 'code_verifier', 'scope', 'audience', 'unheard_of'])(
    'a parameter that is sent twice, %s, is invalid_request (section 3.2)',
    async (name) => {
      const { code, verifier } = await browser.authorize(client);
      const sound = {
        grant_type: 'authorization_code',
        redirect_uri: client.redirect_uris[0],
        scope: 'openid',
      };
      const form: Record<string, string | undefined> = { ...sound, code, code_verifier: verifier };
      const twice = await product.token(client, { ...form, [name]: [form[name] ?? '', form[name] ?? ''] });
      expect([twice.status, twice.json.error]).toEqual([400, 'invalid_request']);
      expect((await product.token(client, form)).status).toBe(200);
    },
  );

  test('client_id and client_secret sent twice are invalid_request, not a failed authentication', async () => {
    const twice = { client_id: [service.id, service.id], client_secret: [SECRET, SECRET] };
    const { status, json } = await product.post('/oauth/token', { ...ofService, ...twice });
    expect([status, json.error]).toEqual([400, 'invalid_request']);
  });

  test('a parameter without a value counts as omitted (section 3.2)', async () => {
    const flow = await browser.authorize(client);
    const { status, json } = await product.redeem(client, flow, { scope: '', resource: '' });
    expect([status, json.scope]).toEqual([200, 'openid']);
    expect((await product.token(client, { grant_type: '' })).json.error).toBe('invalid_request');
  });

  test('parameters that nobody knows are ignored (section 3.2)', async () => {
    expect((await product.token(service, { ...ofService, unheard_of: 'x', audience: 'x' })).status).toBe(200);
  });

  test('parameters are taken from the body only, credentials above all (section 2.3.1)', async () => {
    const answer = await product.post(`/oauth/token?${body()}`, {});
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_client']);
    const mixed = await product.post(`/oauth/token?${query(ofService)}`, {}, basic(service.id, SECRET));
    expect([mixed.status, mixed.json.error]).toEqual([400, 'invalid_request']);
  });

  test.each(['GET', 'PUT', 'DELETE'])(
    '%s is not how a token is asked for: 405 (section 3.2)',
    async (method) => {
      const answer = await product.call(method, `/oauth/token?${body()}`);
      expect([answer.status, answer.headers['allow']?.split(', ')]).toEqual([
        405,
        expect.arrayContaining(['POST']),
      ]);
    },
  );

  test.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'application/xml'])(
    'a body of type %s is invalid_request (section 4.1.3 asks for a form)',
    async (type) => {
      const headers = { 'content-type': type, ...basic(service.id, SECRET) };
      const { status, json } = await product.call('POST', '/oauth/token', {
        body: query(ofService),
        headers,
      });
      expect([status, json.error]).toEqual([400, 'invalid_request']);
    },
  );

  test.each(['application/x-www-form-urlencoded;charset=UTF-8', 'Application/X-WWW-Form-URLencoded'])(
    'a form may be called %s',
    async (type) => {
      const headers = { 'content-type': type, ...basic(service.id, SECRET) };
      const answer = await product.call('POST', '/oauth/token', { body: query(ofService), headers });
      expect(answer.status).toBe(200);
    },
  );

  test('an answer is application/json and nothing else, and is never stored (section 5.1)', async () => {
    for (const answer of [
      await product.token(service, ofService),
      await product.token(service, { grant_type: 'password' }),
      await product.post('/oauth/token', { ...ofService, client_id: 'nobody' }),
    ]) {
      expect(answer.headers).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'no-store',
        pragma: 'no-cache',
      });
    }
  });

  test('a token answer has the members of section 5.1 and OpenID Connect Core 3.1.3.3, and no others', async () => {
    const { tokens } = await product.grant(client, { browser });
    const members = ['access_token', 'expires_in', 'id_token', 'refresh_token', 'scope', 'token_type'];
    expect(Object.keys(tokens).sort()).toEqual(members);
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'openid' });
  });

  test('a client that is not registered for refresh tokens gets none (section 5.1)', async () => {
    const codeOnly = await product.client({ grant_types: ['authorization_code'], skip_consent: true });
    const { tokens } = await product.grant(codeOnly, { browser });
    expect(tokens).not.toHaveProperty('refresh_token');
  });

  test('an error has only error and error_description, in the characters of section 5.2', async () => {
    const { json } = await product.token(client, { grant_type: 'caf\u00e9 "\\' });
    expect(Object.keys(json)).toEqual(['error', 'error_description']);
    expect(json.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
  });
});
