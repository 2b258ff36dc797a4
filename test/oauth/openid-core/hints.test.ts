// `login_hint` and `id_token_hint`: whom the client expects.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, claimsOf, PASSWORD, Product } from '../product.ts';

describeEngines('hints (OpenID Connect Core 3.1.2.1)', (engine) => {
  let product: Product;
  let client: Client;
  let alice: { id: string; username: string };
  let bob: { id: string; username: string };
  let browser: Browser;
  let hint: string;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    [alice, bob] = [await product.user('alice'), await product.user('bob')];
    browser = await product.signedIn('alice');
    hint = (await product.grant(client, { browser })).tokens.id_token;
    product.clock.advance(10);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const errorOf = ({ location }: Answer) => location?.searchParams.get('error');
  const hasCode = ({ location }: Answer) => location?.searchParams.has('code') ?? false;
  const ask = async (by: Browser, id_token_hint: string, prompt?: string) =>
    (await by.ask(client, { id_token_hint, prompt })).answer;

  test('login_hint is filled in on the sign-in page, and nothing in it gets out of its field', async () => {
    const hostile = '"><script>alert(1)</script>@example.com';
    for (const [login_hint, shown] of [
      ['alice@example.com', 'value="alice@example.com"'],
      [hostile, 'value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;@example.com"'],
    ] as const) {
      const someone = product.browser();
      const page = await someone.follow((await someone.ask(client, { login_hint })).answer);
      expect(page.body).toContain(shown);
      expect(page.body).not.toContain('<script');
    }
  });

  test('login_hint only suggests: another user may sign in', async () => {
    const someone = product.browser();
    const { answer, verifier } = await someone.ask(client, { login_hint: 'alice' });
    const code = (await someone.walk(answer, 'bob')).searchParams.get('code') ?? '';
    expect(claimsOf((await product.redeem(client, { code, verifier })).json.id_token).sub).toBe(bob.id);
  });

  test('id_token_hint of the user who is signed in changes nothing', async () => {
    expect(hasCode(await ask(browser, hint))).toBe(true);
    expect(hasCode(await ask(browser, hint, 'none'))).toBe(true);
  });

  test('id_token_hint of another user with prompt=none is login_required', async () => {
    const bobs = await product.signedIn('bob');
    expect(errorOf(await ask(bobs, hint, 'none'))).toBe('login_required');
  });

  test('id_token_hint of another user asks for a sign-in, and takes that user', async () => {
    const bobs = await product.signedIn('bob');
    product.clock.advance(1);
    const { answer, verifier } = await bobs.ask(client, { id_token_hint: hint });
    expect(answer.location?.pathname).toMatch(/\/signin$/);
    const code = (await bobs.walk(answer, 'alice')).searchParams.get('code') ?? '';
    expect(claimsOf((await product.redeem(client, { code, verifier })).json.id_token).sub).toBe(alice.id);
  });

  test('where another user signs in than id_token_hint names, the client hears login_required, not a code', async () => {
    const someone = product.browser();
    const page = await someone.follow(await ask(someone, hint));
    const back = await someone.walk(await someone.submit(page, { username: 'bob', password: PASSWORD }));
    expect([back.searchParams.get('error'), back.searchParams.has('code')]).toEqual([
      'login_required',
      false,
    ]);
  });

  test('an id_token_hint may have expired', async () => {
    product.clock.advance(3600);
    expect(claimsOf(hint).exp).toBeLessThan(product.clock.now() / 1000);
    expect(hasCode(await ask(browser, hint))).toBe(true);
  });

  test('an ID token for another client is refused as a hint', async () => {
    const other = await product.client({ skip_consent: true });
    const { tokens } = await product.grant(other, { browser });
    expect(errorOf(await ask(browser, tokens.id_token))).toBe('invalid_request');
  });

  test('what is no ID token of ours is refused: nonsense, another signature, an access token, alg none', async () => {
    const { tokens } = await product.grant(client, { browser });
    const [header = '', payload = '', signature = ''] = hint.split('.');
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
    const forged = Buffer.from(JSON.stringify({ ...claimsOf(hint), sub: bob.id })).toString('base64url');
    for (const bad of [
      'nonsense',
      'a.b.c',
      tokens.access_token,
      `${header}.${forged}.${signature}`,
      `${header}.${payload}.`,
      `${none}.${payload}.`,
    ])
      expect(errorOf(await ask(browser, bad))).toBe('invalid_request');
  });
});
