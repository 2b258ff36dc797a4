// Authorization codes: how long they live, for whom, how often, and what happens to who tries again.

import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Failure } from '../../../src/kernel/errors.ts';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, basic, type Fields, newVerifier, Product } from '../product.ts';

const OTHER_CALLBACK = 'https://app.example/other';

describeEngines('authorization codes (RFC 6749 section 4.1)', (engine) => {
  let product: Product;
  let client: Client;
  let stranger: Client;
  let open: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    const redirect_uris = ['https://app.example/callback', OTHER_CALLBACK];
    client = await product.client({ skip_consent: true, redirect_uris });
    stranger = await product.client({ skip_consent: true, redirect_uris });
    open = await product.client({ skip_consent: true, redirect_uris, token_endpoint_auth_method: 'none' });
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const refused = [400, 'invalid_grant'];
  const outcome = ({ status, json }: Answer) => [status, json.error];

  test('a code lives for one minute (section 4.1.2) and not a millisecond longer', async () => {
    const [last, late] = [await browser.authorize(client), await browser.authorize(client)];
    product.clock.time += 59_999;
    expect((await product.redeem(client, last)).status).toBe(200);
    product.clock.time += 1;
    expect(outcome(await product.redeem(client, late))).toEqual(refused);
  });

  test('a code is good for one use (section 4.1.2)', async () => {
    const flow = await browser.authorize(client);
    expect((await product.redeem(client, flow)).status).toBe(200);
    expect(outcome(await product.redeem(client, flow))).toEqual(refused);
  });

  test('of 20 uses at the same moment one wins', async () => {
    const flow = await browser.authorize(client);
    const answers = await Promise.all(Array.from({ length: 20 }, () => product.redeem(client, flow)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.map(outcome).filter(([, error]) => error === 'invalid_grant')).toHaveLength(19);
  });

  test.each(['', 'x', 'x'.repeat(43), '\u{1f511}'.repeat(20)])(
    'a code that was never given, %j, buys nothing',
    async (code) => {
      const { status, json } = await product.redeem(client, { code, verifier: newVerifier() });
      expect([status, json.access_token]).toEqual([400, undefined]);
    },
  );

  test('a code is for the client that asked for it (section 4.1.3), which may still use it', async () => {
    const flow = await browser.authorize(client);
    expect(outcome(await product.redeem(stranger, flow))).toEqual(refused);
    expect(outcome(await product.redeem(open, flow))).toEqual(refused);
    expect((await product.redeem(client, flow)).status).toBe(200);
  });

  test('what is wrong with a code is not told: wrong code, wrong client, wrong verifier sound the same', async () => {
    const flow = await browser.authorize(client);
    const answers = [
      await product.redeem(client, { ...flow, code: 'x'.repeat(43) }),
      await product.redeem(stranger, flow),
      await product.redeem(client, { ...flow, verifier: newVerifier() }),
      await product.redeem(client, flow, { redirect_uri: OTHER_CALLBACK }),
    ];
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
  });

  test('redirect_uri must be that of the authorization request, byte for byte (section 4.1.3)', async () => {
    const flow = await browser.authorize(client);
    for (const redirect_uri of [
      OTHER_CALLBACK,
      'https://app.example/callback/',
      'HTTPS://app.example/callback',
    ])
      expect(outcome(await product.redeem(client, flow, { redirect_uri }))).toEqual(refused);
    expect((await product.redeem(client, flow)).status).toBe(200);
  });

  test('redirect_uri may be left out where PKCE binds the code (OAuth 2.1 section 4.1.3)', async () => {
    const flow = await browser.authorize(client);
    expect((await product.redeem(client, flow, { redirect_uri: undefined })).status).toBe(200);
  });

  test.each<[string, Fields, number, string]>([
    ['a wrong verifier', { code_verifier: newVerifier() }, 400, 'invalid_grant'],
    ['no verifier', { code_verifier: undefined }, 400, 'invalid_request'],
    ['a malformed verifier', { code_verifier: 'short' }, 400, 'invalid_request'],
    ['another redirect_uri', { redirect_uri: OTHER_CALLBACK }, 400, 'invalid_grant'],
    ['a resource that was not granted', { resource: 'https://api.example/' }, 400, 'invalid_target'],
    ['more scope than was granted', { scope: 'openid email' }, 400, 'invalid_scope'],
    ['a parameter sent twice', { scope: ['openid', 'openid'] }, 400, 'invalid_request'],
    ['two ways to authenticate', { client_secret: 'x' }, 400, 'invalid_request'],
  ])('a request that fails for %s does not burn the code', async (_, form, status, error) => {
    const flow = await browser.authorize(client);
    expect(outcome(await product.redeem(client, flow, form))).toEqual([status, error]);
    const good = await product.redeem(client, flow);
    expect([good.status, await product.isActive(client, good.json.access_token)]).toEqual([200, true]);
  });

  test('a wrong client secret does not burn the code', async () => {
    const flow = await browser.authorize(client);
    const form = { grant_type: 'authorization_code', code: flow.code, code_verifier: flow.verifier };
    const wrong = await product.post('/oauth/token', form, basic(client.id, 'not the secret'));
    expect(outcome(wrong)).toEqual([401, 'invalid_client']);
    expect((await product.redeem(client, flow)).status).toBe(200);
  });

  test.each([
    [new Failure('unavailable', 'The signing keys do not answer.'), 503, 'temporarily_unavailable'],
    [new Error('ENOENT /var/lib/keys'), 500, 'server_error'],
  ])('a key that cannot sign does not burn the code, nor tell why (%s)', async (failure, status, error) => {
    const flow = await browser.authorize(client);
    const sign = vi.spyOn(product.rooms.keyring, 'sign').mockRejectedValueOnce(failure);
    const failed = await product.redeem(client, flow);
    sign.mockRestore();
    expect(outcome(failed)).toEqual([status, error]);
    expect(failed.body).not.toContain('/var/lib');
    expect((await product.redeem(client, flow)).status).toBe(200);
  });

  test.each(['confidential', 'public'])(
    'replay by its holder, a %s client, revokes what the code bought (section 4.1.2)',
    async (kind) => {
      const holder = kind === 'public' ? open : client;
      const { code, verifier, tokens } = await product.grant(holder, { browser });
      const next = (await product.refresh(holder, tokens.refresh_token)).json;
      expect(outcome(await product.redeem(holder, { code, verifier }))).toEqual(refused);
      // RFC 7662 is for clients that authenticate; a public one learns of it by its refresh token.
      if (holder === client) {
        expect(await product.isActive(client, tokens.access_token)).toBe(false);
        expect(await product.isActive(client, next.access_token)).toBe(false);
        expect(await product.isActive(client, next.refresh_token)).toBe(false);
      }
      expect(outcome(await product.refresh(holder, next.refresh_token))).toEqual(refused);
      expect(
        (await product.get('/oauth/userinfo', { authorization: `Bearer ${next.access_token}` })).status,
      ).toBe(401);
      const events = await product.rooms.store.audit.list({ after: 0, limit: 1000 });
      expect(
        events.filter((event) => event.action === 'code.replayed' && event.client_id === holder.id),
      ).not.toHaveLength(0);
    },
  );

  test('a replay is recognised after the code would have expired, too', async () => {
    const { code, verifier, tokens } = await product.grant(client, { browser });
    product.clock.advance(300);
    expect(await product.isActive(client, tokens.access_token)).toBe(true);
    expect(outcome(await product.redeem(client, { code, verifier }))).toEqual(refused);
    expect(await product.isActive(client, tokens.access_token)).toBe(false);
  });

  test('replay by somebody else revokes nothing: another client, no verifier, a wrong one, no secret', async () => {
    const { code, verifier, tokens } = await product.grant(client, { browser });
    await product.redeem(stranger, { code, verifier });
    await product.redeem(open, { code, verifier });
    await product.redeem(client, { code, verifier: newVerifier() });
    await product.redeem(client, { code, verifier }, { code_verifier: undefined });
    await product.redeem(client, { code, verifier }, { redirect_uri: OTHER_CALLBACK });
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, client_id: client.id };
    await product.post('/oauth/token', form);
    await product.post('/oauth/token', form, basic(client.id, 'not the secret'));
    expect(await product.isActive(client, tokens.access_token)).toBe(true);
    expect((await product.refresh(client, tokens.refresh_token)).status).toBe(200);
  });

  test('a code falls with what it stands on: the session, the user, the consent, the client', async () => {
    const { rooms } = product;
    const falls: readonly ((user_id: string, of: Client) => Promise<unknown>)[] = [
      (id) => rooms.sessions.endAll(id),
      (id) => rooms.users.setStatus(id, 'disabled'),
      (id) => rooms.users.setPassword(id, 'another long password'),
      (id) => rooms.users.remove(id),
      (user_id, { id }) =>
        rooms.store.consents.withdraw({ user_id, client_id: id, now: product.clock.now() }),
      (_, { id }) => rooms.store.clients.remove({ id, now: product.clock.now() }),
    ];
    for (const fall of falls) {
      const user = await product.user();
      const own = await product.client();
      const flow = await (await product.signedIn(user.username)).authorize(own);
      await fall(user.id, own);
      const { status, json } = await product.redeem(own, flow);
      expect([status, json.access_token]).toEqual([json.error === 'invalid_client' ? 401 : 400, undefined]);
      expect(['invalid_grant', 'invalid_client']).toContain(json.error);
    }
  });
});
