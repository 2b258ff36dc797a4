// Who answers: `iss` beside every authorization answer, the same bytes wherever the issuer is named, and nothing that
// follows what a request says about the host it was sent to.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import {
  type Answer,
  authorizationRequest,
  type Browser,
  basic,
  claimsOf,
  type Fields,
  ISSUER,
  Product,
  query,
  SECRET,
} from '../product.ts';

describeEngines('the issuer in authorization answers (RFC 9207 section 2)', (engine) => {
  let product: Product;
  let client: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_DCR_MODE: 'open' });
    client = await product.client();
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const issuersIn = (back: URL | undefined) => back?.searchParams.getAll('iss');

  test('iss stands beside the code, once', async () => {
    const { back } = await browser.authorize(client);
    expect(issuersIn(back)).toEqual([ISSUER]);
  });

  test.each<[string, Fields]>([
    ['a faulty request', { scope: 'launch_rockets' }],
    ['login_required', { prompt: 'none', max_age: '0' }],
    ['consent_required', { prompt: 'none', scope: 'openid profile' }],
  ])('iss stands beside an error: %s', async (_, ask) => {
    product.clock.advance(1);
    const { answer } = await browser.ask(client, ask);
    expect(answer.location?.searchParams.has('error')).toBe(true);
    expect(issuersIn(answer.location)).toEqual([ISSUER]);
  });

  test('iss stands beside access_denied', async () => {
    const page = await browser.follow((await browser.ask(client, { scope: 'openid email' })).answer);
    const back = await browser.walk(await browser.submit(page, { decision: 'deny' }));
    expect([back.searchParams.get('error'), issuersIn(back)]).toEqual(['access_denied', [ISSUER]]);
  });

  test('iss is posted with a form_post answer, code and error alike', async () => {
    await browser.authorize(client);
    for (const ask of [{}, { scope: 'launch_rockets' }]) {
      const { answer } = await browser.ask(client, { ...ask, response_mode: 'form_post' });
      expect(answer.body.match(/name="iss" value="([^"]*)"/)?.[1]).toBe(ISSUER);
    }
  });

  test('metadata announces it, and names the issuer by the same bytes (sections 2.4, 3)', async () => {
    const metadata = (await product.get('/.well-known/openid-configuration')).json;
    expect(metadata.authorization_response_iss_parameter_supported).toBe(true);
    expect(metadata.issuer).toBe(ISSUER);
  });

  test('the issuer is the same bytes in every token and in introspection', async () => {
    const { tokens } = await product.grant(client, { browser });
    const { json } = await product.as(client, '/oauth/introspect', { token: tokens.access_token });
    const named = [claimsOf(tokens.id_token).iss, claimsOf(tokens.access_token).iss, json.iss];
    expect(named).toEqual([ISSUER, ISSUER, ISSUER]);
    expect(claimsOf(tokens.access_token).aud).toBe(ISSUER);
  });

  const FORGED = {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-prefix': '/evil.example',
    'x-original-url': 'http://evil.example/',
    forwarded: 'host=evil.example;proto=http',
    origin: 'https://evil.example',
    referer: 'https://evil.example/',
  };

  test.each([
    '/.well-known/openid-configuration',
    '//.well-known/oauth-authorization-server/auth',
    '//.well-known/openid-configuration/auth',
    '/.well-known/jwks.json',
  ])('%s is the same document whatever Host says', async (address) => {
    const [plain, forged] = [await product.get(address), await product.get(address, FORGED)];
    expect([forged.status, forged.body]).toEqual([200, plain.body]);
  });

  test('no endpoint, page or redirect follows the Host header', async () => {
    const request = query(authorizationRequest(client));
    const stranger = { redirect_uris: ['https://app.example/cb'] };
    const form = (fields: Fields, headers = {}) => ({ form: fields, headers: { ...FORGED, ...headers } });
    const forged = (method: string, address: string, call: object = { headers: FORGED }) =>
      product.call(method, address, call);
    const toSignIn = await forged('GET', `/oauth/authorize?${request}`);
    const signInPage = (toSignIn.headers['location'] ?? '').slice('/auth'.length);
    const answers: Record<string, Answer> = {
      toSignIn,
      signIn: await forged('GET', signInPage),
      home: await forged('GET', '/'),
      posted: await forged('POST', '/oauth/authorize', form(authorizationRequest(client))),
      shown: await forged('GET', '/oauth/authorize?client_id=nobody'),
      formPost: await forged('GET', `/oauth/authorize?${request}&response_mode=form_post&prompt=none`),
      sentBack: await forged('GET', `/oauth/authorize?${request}&prompt=none`),
      token: await forged('POST', '/oauth/token', form({ grant_type: 'x' }, basic(client.id, SECRET))),
      userinfo: await forged('GET', '/oauth/userinfo'),
      logout: await forged('GET', '/oauth/logout'),
      registered: await forged('POST', '/oauth/register', { json: stranger, headers: FORGED }),
      nowhere: await forged('GET', '/nowhere'),
    };
    for (const [name, { body, headers }] of Object.entries(answers))
      expect([name, `${JSON.stringify(headers)}${body}`]).toEqual([
        name,
        expect.not.stringContaining('evil.example'),
      ]);
    expect(answers['registered']?.json.registration_client_uri).toMatch(
      /^https:\/\/issuer\.example\/auth\/oauth\/register\//,
    );
    expect(toSignIn.headers['location']).toMatch(/^\/auth\/signin\?request=/);
  });
});
