// What else may stand in an authentication request, and the request by POST.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { authorizationRequest, type Browser, CALLBACK, newVerifier, Product } from '../product.ts';

describeEngines('authentication requests (OpenID Connect Core 3.1.2.1, 6)', (engine) => {
  let product: Product;
  let client: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    browser = await product.signedIn((await product.user()).username);
    product.clock.advance(10);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test.each([
    ['request', 'request_not_supported'],
    ['request_uri', 'request_uri_not_supported'],
    ['registration', 'registration_not_supported'],
  ])(
    '%s is refused with its own code, %s (section 3.1.2.6), and the client hears it',
    async (name, error) => {
      const { answer } = await browser.ask(client, { [name]: 'https://app.example/request.jwt' });
      expect(answer.location?.href.startsWith(`${CALLBACK}?error=${error}&`)).toBe(true);
      expect(answer.location?.searchParams.get('state')).toBe('a state');
    },
  );

  test('metadata says that request objects are not taken (Discovery 1.0 section 3)', async () => {
    expect((await product.get('/.well-known/openid-configuration')).json).toMatchObject({
      request_parameter_supported: false,
      request_uri_parameter_supported: false,
      claims_parameter_supported: true,
    });
  });

  test('display, ui_locales, claims_locales, acr_values and what nobody knows are no errors', async () => {
    const { back } = await browser.authorize(client, {
      display: 'popup',
      ui_locales: 'de-CH de',
      claims_locales: 'de',
      acr_values: 'urn:some:level',
      unheard_of: 'x',
    });
    expect(back.searchParams.has('code')).toBe(true);
  });

  test('the scopes address and phone, for which there are no claims here, are ignored (sections 3.1.2.1, 5.4)', async () => {
    const scope = 'openid address email phone';
    const { tokens } = await product.grant(client, { browser, ask: { scope } });
    expect(tokens.scope).toBe('openid email');
    const bounded = await product.client({ skip_consent: true, scope: 'openid email' });
    expect((await product.grant(bounded, { browser, ask: { scope } })).tokens.scope).toBe('openid email');
    for (const unusable of ['address', 'openid address launch_rockets']) {
      const { answer } = await browser.ask(client, { scope: unusable });
      expect(answer.location?.searchParams.get('error')).toBe('invalid_scope');
    }
  });

  test('a resource may have scopes of these names, and then they mean something', async () => {
    await product.resource('https://directory.example/', ['phone']);
    const ask = { scope: 'openid address phone' };
    expect((await product.grant(client, { browser, ask })).tokens.scope).toBe('openid phone');
  });

  test('a request may be posted as a form (section 3.1.2.1)', async () => {
    const verifier = newVerifier();
    const back = await browser.walk(
      await browser.send('POST', '/oauth/authorize', authorizationRequest(client, verifier)),
    );
    const code = back.searchParams.get('code') ?? '';
    expect((await product.redeem(client, { code, verifier })).status).toBe(200);
  });

  test('posted by another site it comes without cookies (SameSite=Lax), and the session counts all the same', async () => {
    for (const prompt of [undefined, 'none']) {
      const posted = await product.post('/oauth/authorize', { ...authorizationRequest(client), prompt });
      expect(posted.status).toBe(303);
      const answer = await browser.follow(posted);
      expect(answer.location?.href.startsWith(`${CALLBACK}?code=`)).toBe(true);
    }
  });

  test('posted, prompt=none and nobody signed in is login_required', async () => {
    const someone = product.browser();
    const form = { ...authorizationRequest(client), prompt: 'none' };
    const answer = await someone.follow(await someone.send('POST', '/oauth/authorize', form));
    expect(answer.location?.searchParams.get('error')).toBe('login_required');
  });

  test('parameters of a POST are taken from its body only', async () => {
    const posted = await product.post(`/oauth/authorize?client_id=${client.id}`, {
      ...authorizationRequest(client),
      client_id: undefined,
    });
    expect([posted.status, posted.location]).toEqual([400, undefined]);
  });

  test('a way through the pages ends after half an hour, and is walked once', async () => {
    const [late, done] = [product.browser(), product.browser()];
    const { username } = await product.user();
    const { answer } = await late.ask(client);
    const other = await done.ask(client);
    const back = await done.walk(other.answer, username);
    expect(back.searchParams.has('code')).toBe(true);
    const request = other.answer.location?.searchParams.get('request');
    const again = await done.get(`/oauth/authorize/resume?request=${request}`);
    expect([again.status, again.location]).toEqual([400, undefined]);
    product.clock.advance(1800);
    const gone = await late.follow(answer);
    expect([gone.status, gone.location]).toEqual([400, undefined]);
  });

  test.each(['', 'request=', 'request=nonsense'])('nothing waits at resume?%s', async (search) => {
    const answer = await browser.get(`/oauth/authorize/resume?${search}`);
    expect([answer.status, answer.location]).toEqual([400, undefined]);
  });
});
