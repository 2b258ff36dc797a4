// `prompt` and `max_age`: which pages a client insists on, and how fresh a sign-in must be.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, CALLBACK, claimsOf, type Fields, PASSWORD, Product } from '../product.ts';

describeEngines('prompt and max_age (OpenID Connect Core 3.1.2.1)', (engine) => {
  let product: Product;
  let client: Client;
  let username: string;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    username = (await product.user()).username;
  });
  afterAll(() => product[Symbol.asyncDispose]());

  // Somebody who signed in 100 seconds ago and has consented to `openid`.
  beforeEach(async () => {
    client = await product.client();
    browser = await product.signedIn(username);
    await browser.authorize(client);
    product.clock.advance(100);
  });

  const ask = async (fields: Fields, by = browser) => (await by.ask(client, fields)).answer;
  const errorOf = (answer: Answer) => {
    expect(answer.location?.href.startsWith(CALLBACK)).toBe(true);
    return answer.location?.searchParams.get('error');
  };
  const pageOf = ({ location }: Answer) => location?.pathname.replace('/auth', '');

  test('who is signed in and has consented meets no page', async () => {
    const { back } = await browser.authorize(client);
    expect(back.searchParams.get('code')).toMatch(/^[\w-]{43}$/);
    expect((await ask({})).location?.searchParams.has('code')).toBe(true);
  });

  test('prompt=none gives a code without any page where none is needed', async () => {
    const answer = await ask({ prompt: 'none' });
    expect([errorOf(answer), answer.location?.searchParams.has('code')]).toEqual([null, true]);
  });

  test('prompt=none and nobody signed in: login_required (section 3.1.2.6)', async () => {
    expect(errorOf(await ask({ prompt: 'none' }, product.browser()))).toBe('login_required');
  });

  test('prompt=none and something not consented to: consent_required (section 3.1.2.6)', async () => {
    expect(errorOf(await ask({ prompt: 'none', scope: 'openid email' }))).toBe('consent_required');
  });

  test('prompt=none and a sign-in that is too old: login_required', async () => {
    expect(errorOf(await ask({ prompt: 'none', max_age: '99' }))).toBe('login_required');
  });

  test('prompt=none and a session that has ended: login_required', async () => {
    await browser.submit(await browser.get('/signout'), {});
    expect(errorOf(await ask({ prompt: 'none' }))).toBe('login_required');
  });

  test.each(['none login', 'consent none', 'none none login', 'never', 'login,consent', 'None'])(
    'prompt=%s is invalid_request',
    async (prompt) => {
      expect(errorOf(await ask({ prompt }))).toBe('invalid_request');
    },
  );

  test('prompt=none said twice is still none', async () => {
    expect((await ask({ prompt: 'none none' })).location?.searchParams.has('code')).toBe(true);
  });

  test.each(['login', 'select_account'])(
    'prompt=%s asks for a sign-in although there is one',
    async (prompt) => {
      const { answer, verifier } = await browser.ask(client, { prompt });
      expect(pageOf(answer)).toBe('/signin');
      const page = await browser.follow(answer);
      const back = await browser.walk(await browser.submit(page, { username, password: PASSWORD }));
      const code = back.searchParams.get('code') ?? '';
      const { json } = await product.redeem(client, { code, verifier });
      expect(claimsOf(json.id_token).auth_time).toBe(product.clock.now() / 1000);
    },
  );

  test('prompt=login is not satisfied by going back to the flow without a sign-in', async () => {
    const answer = await ask({ prompt: 'login' });
    const request = answer.location?.searchParams.get('request');
    expect(pageOf(await browser.get(`/oauth/authorize/resume?request=${request}`))).toBe('/signin');
    expect((await browser.get(`/consent?request=${request}`)).location).toBeUndefined();
    await browser.submit(await browser.get(`/consent?request=${request}`), { decision: 'allow' });
    expect(pageOf(await browser.get(`/oauth/authorize/resume?request=${request}`))).toBe('/signin');
  });

  test('prompt=login and a wrong password leave the former session, and give no code', async () => {
    const answer = await ask({ prompt: 'login' });
    const wrong = await browser.submit(await browser.follow(answer), { username, password: 'wrong' });
    expect(wrong.status).toBe(422);
    expect((await ask({ prompt: 'none' })).location?.searchParams.has('code')).toBe(true);
  });

  test('prompt=select_account lets another user sign in, and the tokens are theirs', async () => {
    const other = await product.user();
    const { answer, verifier } = await browser.ask(client, { prompt: 'select_account' });
    const back = await browser.walk(answer, other.username);
    const code = back.searchParams.get('code') ?? '';
    const { json } = await product.redeem(client, { code, verifier });
    expect(claimsOf(json.id_token).sub).toBe(other.id);
  });

  test('prompt=consent asks although everything is consented to, of a client that skips consent too', async () => {
    expect(pageOf(await ask({ prompt: 'consent' }))).toBe('/consent');
    client = await product.client({ skip_consent: true });
    expect(pageOf(await ask({ prompt: 'consent' }))).toBe('/consent');
  });

  test('prompt=login consent asks for both, each once', async () => {
    const toSignIn = await ask({ prompt: 'login consent' });
    expect(pageOf(toSignIn)).toBe('/signin');
    const page = await browser.follow(toSignIn);
    const resumed = await browser.follow(await browser.submit(page, { username, password: PASSWORD }));
    expect(pageOf(resumed)).toBe('/consent');
    const consented = await browser.submit(await browser.follow(resumed), { decision: 'allow' });
    expect((await browser.follow(consented)).location?.searchParams.has('code')).toBe(true);
  });

  test('max_age: a sign-in that is old enough to count is taken, an older one is repeated', async () => {
    expect((await ask({ max_age: '101' })).location?.searchParams.has('code')).toBe(true);
    expect(pageOf(await ask({ max_age: '100' }))).toBe('/signin');
    expect(pageOf(await ask({ max_age: '99' }))).toBe('/signin');
  });

  test('max_age=0 asks for a sign-in each time, and one suffices', async () => {
    const { code, verifier } = await browser.authorize(client, { max_age: '0' }, username);
    const { json } = await product.redeem(client, { code, verifier });
    expect(claimsOf(json.id_token).auth_time).toBe(product.clock.now() / 1000);
    product.clock.advance(1);
    expect(pageOf(await ask({ max_age: '0' }))).toBe('/signin');
  });

  test.each(['-1', '1.5', '0x10', 'soon', '99999999999', '1 '])(
    'max_age=%j is invalid_request',
    async (max_age) => {
      expect(errorOf(await ask({ max_age }))).toBe('invalid_request');
    },
  );
});
