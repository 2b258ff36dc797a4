// What is wrong with an authorization request, and who is told: the person where no answer can be sent safely, the
// client otherwise.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import {
  type Answer,
  authorizationRequest,
  type Browser,
  CALLBACK,
  type Fields,
  ISSUER,
  Product,
} from '../product.ts';

describeEngines('errors of the authorization endpoint (RFC 6749 section 4.1.2.1)', (engine) => {
  let product: Product;
  let client: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ scope: 'openid email read', skip_consent: true });
    await product.resource('https://api.example/', ['read', 'write']);
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const ask = async (fields: Fields, by: Client = client) => (await browser.ask(by, fields)).answer;

  function expectShown(answer: Answer): void {
    expect([answer.status, answer.location]).toEqual([400, undefined]);
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body).toContain('This did not work');
  }

  function expectSentBack(answer: Answer, error: string): void {
    expect([answer.status, answer.location?.href.split('?')[0]]).toEqual([303, CALLBACK]);
    const sent = Object.fromEntries(answer.location?.searchParams ?? []);
    expect(sent).toEqual({ error, error_description: expect.any(String), state: 'a state', iss: ISSUER });
    expect(sent['error_description']).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/);
  }

  test.each<[string, Fields]>([
    ['no client_id', { client_id: undefined }],
    ['an empty client_id', { client_id: '' }],
    ['a client that nobody knows', { client_id: 'cli_nobody' }],
    ['two client_ids', { client_id: ['cli_one', 'cli_two'] }],
    ['no redirect_uri, even where one alone is registered', { redirect_uri: undefined }],
    ['a redirect_uri of somebody else', { redirect_uri: 'https://evil.example/' }],
    ['one that only begins like the registered one', { redirect_uri: `${CALLBACK}/more` }],
    ['one with a query that was not registered', { redirect_uri: `${CALLBACK}?a=b` }],
    ['one with a fragment', { redirect_uri: `${CALLBACK}#a` }],
    ['one in other letters', { redirect_uri: CALLBACK.replace('app', 'APP') }],
    ['one with the default port written out', { redirect_uri: CALLBACK.replace('.example', '.example:443') }],
    ['one with dot segments', { redirect_uri: CALLBACK.replace('callback', 'x/../callback') }],
    ['an encoded spelling of it', { redirect_uri: CALLBACK.replace('callback', 'callbac%6B') }],
    ['the right redirect_uri beside a wrong one', { redirect_uri: [CALLBACK, 'https://evil.example/'] }],
    ['javascript', { redirect_uri: 'javascript:alert(1)' }],
  ])('%s is shown to the person and sent to nobody', async (_, fields) => {
    expectShown(await ask(fields));
  });

  test('a disabled client is shown to the person like an unknown one', async () => {
    const disabled = await product.client();
    await product.setClientStatus(disabled, 'disabled');
    const answer = await ask({}, disabled);
    expectShown(answer);
    const sentence = (page: Answer) => /role="alert">([^<]*)/.exec(page.body)?.[1];
    expect(sentence(answer)).toBe(sentence(await ask({ client_id: 'cli_nobody' })));
  });

  test('what was wrong is not played back into the page', async () => {
    const { body } = await ask({
      client_id: '"><script>alert(1)</script>',
      redirect_uri: 'https://evil.example/',
    });
    expect(body).not.toContain('<script');
    expect(body).not.toContain('evil.example');
  });

  test.each<[string, Fields, string]>([
    ['no response_type', { response_type: undefined }, 'invalid_request'],
    ['the implicit grant (OAuth 2.1)', { response_type: 'token' }, 'unsupported_response_type'],
    ['a hybrid flow', { response_type: 'code id_token' }, 'unsupported_response_type'],
    ['response_mode fragment (RFC 9700 section 4.3.1)', { response_mode: 'fragment' }, 'invalid_request'],
    ['a scope that does not exist', { scope: 'openid launch_rockets' }, 'invalid_scope'],
    ['a scope that is none (section 3.3)', { scope: 'openid "email"' }, 'invalid_scope'],
    ['two spaces in a scope (section 3.3)', { scope: 'openid  email' }, 'invalid_scope'],
    ['more scope than the client may ask for', { scope: 'openid write' }, 'invalid_scope'],
    ['a resource that does not exist', { resource: 'https://other.example/' }, 'invalid_target'],
    ['a parameter sent twice (section 3.1)', { scope: ['openid', 'email'] }, 'invalid_request'],
    ['an unknown parameter sent twice', { unheard_of: ['a', 'a'] }, 'invalid_request'],
    ['a nonce of 513 characters', { nonce: 'n'.repeat(513) }, 'invalid_request'],
    ['a scope of more than 4096 characters', { scope: `openid ${'read '.repeat(900)}read` }, 'invalid_scope'],
    ['17 resources', { resource: Array(17).fill('https://api.example/') }, 'invalid_request'],
    [
      'a claims parameter of more than 2048 characters',
      { claims: JSON.stringify({ id_token: { ['a'.repeat(2048)]: null } }) },
      'invalid_request',
    ],
    ['max_age that is no number', { max_age: 'soon' }, 'invalid_request'],
  ])('%s is sent back to the client with state and iss: %s', async (_, fields, error) => {
    expectSentBack(await ask(fields), error);
  });

  test('a state of 2049 characters is not carried through pages, but comes back with the error', async () => {
    const state = 's'.repeat(2049);
    const { location } = await ask({ state });
    expect(location?.searchParams.get('error')).toBe('invalid_request');
    expect(location?.searchParams.get('state')).toBe(state);
  });

  test('a client that is not registered for codes is sent back unauthorized_client', async () => {
    const machine = await product.client({ grant_types: ['client_credentials'] });
    expectSentBack(await ask({}, machine), 'unauthorized_client');
  });

  test('a client gets back no state that it did not send', async () => {
    const failed = await ask({ state: undefined, scope: 'launch_rockets' });
    expect(failed.location?.searchParams.get('error')).toBe('invalid_scope');
    expect(failed.location?.searchParams.has('state')).toBe(false);
    expect((await ask({ state: undefined })).location?.searchParams.has('state')).toBe(false);
  });

  test('nobody needs to sign in to hear of an error', async () => {
    const { answer } = await product.browser().ask(client, { scope: 'launch_rockets' });
    expectSentBack(answer, 'invalid_scope');
  });

  test('an error travels as the client wants its answers, by form_post too', async () => {
    const page = await ask({ scope: 'launch_rockets', response_mode: 'form_post' });
    expect(page.status).toBe(200);
    expect(page.body).toContain(`action="${CALLBACK}"`);
    expect(page.body).toContain('name="error" value="invalid_scope"');
    expect(page.body).not.toContain('You are signed in');
  });

  test('errors of a POST are told in the same way (section 3.1)', async () => {
    const fields = authorizationRequest(client);
    expectShown(await product.post('/oauth/authorize', { ...fields, client_id: 'cli_nobody' }));
    expectSentBack(
      await product.post('/oauth/authorize', { ...fields, scope: 'launch_rockets' }),
      'invalid_scope',
    );
  });
});

describeEngines('answers of the authorization endpoint (RFC 6749 section 4.1.2)', (engine) => {
  let product: Product;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_OAUTH_DEFAULT_SCOPE: 'openid email' });
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test.each([undefined, ''])(
    'who asks for no scope (%j) gets the default scope (section 3.3)',
    async (scope) => {
      const client = await product.client({ skip_consent: true });
      const { tokens } = await product.grant(client, { browser, ask: { scope } });
      expect(tokens.scope).toBe('openid email');
    },
  );

  test('the default scope stays within what the client may ask for', async () => {
    const client = await product.client({ skip_consent: true, scope: 'openid profile' });
    const { tokens } = await product.grant(client, { browser, ask: { scope: undefined } });
    expect(tokens.scope).toBe('openid');
  });

  test('where nothing of the default is left, no scope is invalid_scope (section 3.3)', async () => {
    await product.resource('https://api.example/', ['read']);
    const client = await product.client({ scope: 'read' });
    const { answer } = await browser.ask(client, { scope: undefined });
    expect(answer.location?.searchParams.get('error')).toBe('invalid_scope');
  });

  test('response_mode=query is what happens anyway', async () => {
    const client = await product.client({ skip_consent: true });
    const { answer } = await browser.ask(client, { response_mode: 'query' });
    expect(answer.location?.href).toMatch(/^https:\/\/app\.example\/callback\?code=[\w-]{43}&state=/);
  });

  test.each([
    ['https://app.example/cb?a=1&b=%20x+y%2f&c', '&'],
    ['https://app.example/cb?', ''],
    ['https://app.example/cb?a=b&', ''],
    ['https://app.example', '?'],
    ["https://app.example/~cb/(x);v=1/'q'", '?'],
  ])(
    'the redirect_uri %s is kept byte for byte, and the answer put behind it (section 3.1.2)',
    async (uri, mark) => {
      const client = await product.client({ skip_consent: true, redirect_uris: [uri] });
      const good = await product.call(
        'GET',
        `/oauth/authorize?${new URLSearchParams({ client_id: client.id, redirect_uri: uri, response_type: 'token' })}`,
      );
      expect(good.headers['location']?.startsWith(`${uri}${mark}error=unsupported_response_type&`)).toBe(
        true,
      );
      const flow = await browser.authorize(client);
      expect((await product.redeem(client, flow)).status).toBe(200);
    },
  );

  test.each(['a=b&c=d', '+ %2B%00', 'Grüße 🙂', '<script>\'"', 's'.repeat(2048)])(
    'state comes back as it was: %.20s',
    async (state) => {
      const client = await product.client({ skip_consent: true });
      const { answer } = await browser.ask(client, { state });
      expect(answer.location?.searchParams.get('state')).toBe(state);
      const failed = await browser.ask(client, { state, scope: 'launch_rockets' });
      expect(failed.answer.location?.searchParams.get('state')).toBe(state);
    },
  );
});
