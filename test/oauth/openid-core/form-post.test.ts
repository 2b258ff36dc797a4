// OAuth 2.0 Form Post Response Mode: the answer as a form that the browser posts to the client.

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, CALLBACK, ISSUER, Product } from '../product.ts';

const HOSTILE = `"><script>alert('&amp;')</script>`;

describeEngines('response_mode=form_post (Form Post Response Mode section 2)', (engine) => {
  let product: Product;
  let client: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const ask = (state: string, more = {}) =>
    browser.ask(client, { response_mode: 'form_post', state, ...more });

  function fieldsOf({ body }: Answer): Record<string, string> {
    const inputs = [...body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)];
    return Object.fromEntries(inputs.map(([, name = '', value = '']) => [name, unescapeHtml(value)]));
  }

  test('is a page with one form: POST to the redirect URI, with code, state and iss', async () => {
    const { answer, verifier } = await ask('a state');
    expect([answer.status, answer.location]).toEqual([200, undefined]);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    });
    expect(answer.body.match(/<form [^>]*>/g)).toEqual([`<form method="post" action="${CALLBACK}">`]);
    const { code = '', ...others } = fieldsOf(answer);
    expect(others).toEqual({ state: 'a state', iss: ISSUER });
    expect((await product.redeem(client, { code, verifier })).status).toBe(200);
  });

  test('works without scripts: there is a button', async () => {
    expect((await ask('s')).answer.body).toMatch(/<button type="submit">Continue<\/button>/);
  });

  test('its policy lets run the one script that it has, by its hash, and nothing else', async () => {
    const { answer } = await ask(HOSTILE);
    const scripts = [...answer.body.matchAll(/<script>(.*?)<\/script>/gs)].map(([, script = '']) => script);
    expect(scripts).toHaveLength(1);
    const hash = createHash('sha256')
      .update(scripts[0] ?? '')
      .digest('base64');
    const policy = answer.headers['content-security-policy']?.split('; ');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'none'", `script-src 'sha256-${hash}'`, "frame-ancestors 'none'"]),
    );
    // The client may redirect the post anywhere, and browsers would hold it against a form-action.
    expect(answer.headers['content-security-policy']).not.toContain('form-action');
  });

  test.each([
    HOSTILE,
    "' onload='alert(1)",
    '</form><form action="https://evil.example">',
    '&quot;&#x22;',
    'é\u2028🙂',
  ])('state is escaped and arrives as it was: %s', async (state) => {
    const { answer } = await ask(state);
    expect(fieldsOf(answer)['state']).toBe(state);
    expect(answer.body.match(/<(script|form)\b/g)).toEqual(['<form', '<script']);
  });

  test('a redirect URI with a query is escaped and kept', async () => {
    const uri = "https://app.example/cb?a=1&b='x'&c=%22";
    client = await product.client({ skip_consent: true, redirect_uris: [uri] });
    const { answer } = await ask('s');
    const action = /action="([^"]*)"/.exec(answer.body)?.[1] ?? '';
    expect(unescapeHtml(action)).toBe(uri);
  });

  test('errors come the same way', async () => {
    const { answer } = await ask(HOSTILE, { scope: 'launch_rockets' });
    expect(fieldsOf(answer)).toEqual({
      error: 'invalid_scope',
      error_description: expect.any(String),
      state: HOSTILE,
      iss: ISSUER,
    });
  });

  test('after pages too: what a person denies is posted', async () => {
    const asking = await product.client();
    const { answer } = await browser.ask(asking, { response_mode: 'form_post' });
    const denied = await browser.submit(await browser.follow(answer), { decision: 'deny' });
    const page = await browser.follow(denied);
    expect([page.status, fieldsOf(page)['error']]).toEqual([200, 'access_denied']);
  });
});

function unescapeHtml(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
}
