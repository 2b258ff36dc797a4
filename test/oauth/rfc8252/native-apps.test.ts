import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Browser, Product } from '../product.ts';

const APP_SCHEME = 'com.example.app:/oauth/callback';

describeEngines('native apps (RFC 8252)', (engine) => {
  let product: Product;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const native = (redirect_uri: string, metadata: Readonly<Record<string, unknown>> = {}): Promise<Client> =>
    product.client({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: [redirect_uri],
      ...metadata,
    });

  test.each([
    ['http://127.0.0.1/cb', 'http://127.0.0.1:49152/cb'],
    ['http://127.0.0.1:8080/cb', 'http://127.0.0.1:1/cb'],
    ['http://127.0.0.1:8080/cb', 'http://127.0.0.1/cb'],
    ['http://[::1]/cb?a=b', 'http://[::1]:65535/cb?a=b'],
  ])(
    'registered %s, a loopback redirect may use any port: %s (section 7.3)',
    async (registered, redirect_uri) => {
      const client = await native(registered);
      const { code, verifier, back } = await browser.authorize(client, { redirect_uri });
      expect(back.href.startsWith(redirect_uri)).toBe(true);
      expect((await product.redeem(client, { code, verifier }, { redirect_uri })).status).toBe(200);
    },
  );

  test('the token request names the port of its authorization request, not another one', async () => {
    const client = await native('http://127.0.0.1/cb');
    const flow = await browser.authorize(client, { redirect_uri: 'http://127.0.0.1:5001/cb' });
    for (const redirect_uri of ['http://127.0.0.1:5002/cb', 'http://127.0.0.1/cb']) {
      const { status, json } = await product.redeem(client, flow, { redirect_uri });
      expect([status, json.error]).toEqual([400, 'invalid_grant']);
    }
  });

  test.each([
    ['http://127.0.0.1/cb', 'http://127.0.0.1:5001/other'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:5001/cb?a=b'],
    ['http://127.0.0.1/cb', 'https://127.0.0.1:5001/cb'],
    ['http://127.0.0.1/cb', 'http://[::1]:5001/cb'],
    ['http://127.0.0.1/cb', 'http://localhost:5001/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.2:5001/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:0/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:65536/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:80@evil.example/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1.evil.example:5001/cb'],
    ['http://localhost:5001/cb', 'http://localhost:5002/cb'],
    ['https://app.example/cb', 'https://app.example:8443/cb'],
  ])(
    'registered %s, nothing but that port may differ: %s is shown to the person',
    async (registered, redirect_uri) => {
      const { answer } = await browser.ask(await native(registered), { redirect_uri });
      expect([answer.status, answer.location]).toEqual([400, undefined]);
    },
  );

  test('a private-use scheme gets its code (section 7.1)', async () => {
    const client = await native(APP_SCHEME);
    const { code, verifier, back } = await browser.authorize(client);
    expect(back.href.startsWith(`${APP_SCHEME}?code=`)).toBe(true);
    expect((await product.redeem(client, { code, verifier })).status).toBe(200);
  });

  test('only native clients may have a private-use scheme, and only one with a dot (sections 7.1, 8.4)', async () => {
    await expect(native(APP_SCHEME, { application_type: 'web' })).rejects.toThrow(/native/);
    await expect(native('myapp:/callback')).rejects.toThrow(/scheme/);
  });

  const asksAgain = async (client: Client) => {
    await browser.authorize(client);
    const { answer } = await browser.ask(client);
    return answer.location?.pathname.endsWith('/consent') ?? false;
  };

  test.each([APP_SCHEME, 'http://127.0.0.1/cb', 'http://localhost:5001/cb'])(
    'a public client at %s could be anybody on the device: consent is asked each time (section 8.6)',
    async (redirect_uri) => {
      const client = await native(redirect_uri);
      expect(await asksAgain(client)).toBe(true);
      const { answer } = await browser.ask(client, { prompt: 'none' });
      expect(answer.location?.searchParams.get('error')).toBe('consent_required');
    },
  );

  test('a claimed https redirect and a client that can prove itself are remembered (section 8.6)', async () => {
    expect(await asksAgain(await native('https://app.example/claimed'))).toBe(false);
    const proven = { token_endpoint_auth_method: 'client_secret_basic' };
    expect(await asksAgain(await native('http://127.0.0.1/cb', proven))).toBe(false);
  });

  test('the consent page says that such a redirect stays on the device', async () => {
    const page = await browser.follow((await browser.ask(await native(APP_SCHEME))).answer);
    expect(page.body).toContain('an application on this device');
  });
});
