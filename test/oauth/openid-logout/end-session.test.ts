import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, type Fields, Product, query } from '../product.ts';

const LOGOUT = '/oauth/logout';
const BYE = 'https://app.example/bye';
const WITH_QUERY = 'https://app.example/bye?from=here';
const OPEN_QUERY = 'https://app.example/bye?';

describeEngines('RP-initiated logout', (engine) => {
  let product: Product;
  let client: Client;
  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ post_logout_redirect_uris: [BYE, WITH_QUERY, OPEN_QUERY] });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const signIn = async () => {
    const { browser, tokens } = await product.grant(client);
    return { browser, tokens, id_token_hint: tokens.id_token as string };
  };
  const logout = (browser: Browser, fields: Fields) => browser.get(`${LOGOUT}?${query(fields)}`);
  /** The account page is for those who are signed in; everybody else is sent away from it. */
  const isSignedIn = async (browser: Browser) => (await browser.get('/account')).status === 200;
  const isPageAbout = (answer: Answer, text: string) => {
    expect(answer.headers['content-type']).toContain('text/html');
    expect(answer.body).toContain(text);
  };

  describe.each(['GET', 'POST'] as const)('by %s (RP-Initiated Logout 1.0 section 2)', (method) => {
    const ask = (browser: Browser, fields: Fields) =>
      method === 'GET' ? logout(browser, fields) : browser.send('POST', LOGOUT, fields);

    test('with a hint that names this very session it ends at once and returns with state', async () => {
      const { browser, tokens, id_token_hint } = await signIn();
      const fields = { id_token_hint, post_logout_redirect_uri: BYE, state: 'a & b' };
      const answer = await ask(browser, fields);
      expect(answer.status).toBe(303);
      expect(answer.headers['location']).toBe(`${BYE}?state=a+%26+b`);
      expect(browser.cookie('session')).toBeUndefined();
      expect(await isSignedIn(browser)).toBe(false);
      expect((await product.refresh(client, tokens.refresh_token)).json.error).toBe('invalid_grant');
    });

    test('without a hint the person is asked first', async () => {
      const { browser } = await signIn();
      const answer = await ask(browser, { client_id: client.id, post_logout_redirect_uri: BYE, state: 's' });
      expect(answer.location?.pathname).toBe('/auth/signout');
      expect(await isSignedIn(browser)).toBe(true);
      const page = await browser.follow(answer);
      isPageAbout(page, client.name);
      const done = await browser.submit(page, {});
      expect(done.headers['location']).toBe(`${BYE}?state=s`);
      expect(await isSignedIn(browser)).toBe(false);
    });
  });

  test('state is added to whatever query the address has, byte for byte', async () => {
    for (const uri of [BYE, WITH_QUERY, OPEN_QUERY]) {
      const { browser, id_token_hint } = await signIn();
      const answer = await logout(browser, { id_token_hint, post_logout_redirect_uri: uri, state: 's' });
      const separator = uri === BYE ? '?' : uri === WITH_QUERY ? '&' : '';
      expect(answer.headers['location']).toBe(`${uri}${separator}state=s`);
    }
  });

  test('the session is ended in the database, not only in the browser', async () => {
    const { browser, id_token_hint } = await signIn();
    const cookie = browser.cookie('session');
    await logout(browser, { id_token_hint });
    const answer = await product.get('/account', { cookie: `__Host-authserver_session=${cookie}` });
    expect(answer.status).toBe(303);
  });

  test('with a hint and nowhere to return to, it ends at once and says so', async () => {
    const { browser, id_token_hint } = await signIn();
    const answer = await logout(browser, { id_token_hint });
    expect(await isSignedIn(browser)).toBe(false);
    const page = await browser.follow(answer);
    expect(page.status).toBe(200);
    isPageAbout(page, 'Signed out');
  });

  test('without any parameter the person is asked, and stays here', async () => {
    const { browser } = await signIn();
    const answer = await browser.get(LOGOUT);
    const page = await browser.follow(answer);
    expect(await isSignedIn(browser)).toBe(true);
    const done = await browser.submit(page, {});
    expect(done.location?.pathname).toBe('/auth/signout');
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('a hint of another session proves nothing about this one: the person is asked', async () => {
    const user = await product.user();
    const here = await product.signedIn(user.username);
    const elsewhere = await product.grant(client, { username: user.username });
    const answer = await logout(here, {
      id_token_hint: elsewhere.tokens.id_token,
      post_logout_redirect_uri: BYE,
    });
    expect(answer.location?.pathname).toBe('/auth/signout');
    expect(await isSignedIn(here)).toBe(true);
    expect(await isSignedIn(elsewhere.browser)).toBe(true);
  });

  test('an expired hint still says who is meant (section 2)', async () => {
    const { browser, id_token_hint } = await signIn();
    product.clock.advance(3600);
    const answer = await logout(browser, { id_token_hint, post_logout_redirect_uri: BYE });
    expect(answer.headers['location']).toBe(BYE);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('a hint outlives the key that signed it: rotation leaves nobody signed in (section 2)', async () => {
    const { keyring } = product.rooms;
    const { browser, id_token_hint } = await signIn();
    const { signing } = keyring.state();
    const isRetired = () =>
      keyring.state().keys.some(({ kid, state }) => kid === signing && state === 'retired');
    await keyring.rotate();
    for (let hour = 0; hour < 100 && !isRetired(); hour++) {
      product.clock.advance(3600);
      await keyring.tick();
      expect(await isSignedIn(browser)).toBe(true);
    }
    expect(isRetired()).toBe(true);
    const answer = await logout(browser, { id_token_hint, post_logout_redirect_uri: BYE });
    expect(answer.headers['location']).toBe(BYE);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('nobody signed in: straight back to the application', async () => {
    const answer = await logout(product.browser(), { client_id: client.id, post_logout_redirect_uri: BYE });
    expect(answer).toMatchObject({ status: 303, headers: { location: BYE } });
  });

  test('nobody signed in and nowhere to go: a page that says so', async () => {
    const browser = product.browser();
    isPageAbout(await browser.follow(await browser.get(LOGOUT)), 'Signed out');
  });

  test('state is added to a query that is there already (section 3)', async () => {
    const { browser, id_token_hint } = await signIn();
    const fields = { id_token_hint, post_logout_redirect_uri: WITH_QUERY, state: 's' };
    expect((await logout(browser, fields)).headers['location']).toBe(`${WITH_QUERY}&state=s`);
  });

  test.each([
    'https://app.example/bye/',
    'https://app.example/bye?x=y',
    'https://app.example',
    'https://app.example/callback',
    'https://evil.example/bye',
    'javascript:alert(1)',
    '//evil.example',
  ])(
    'never returns to what is not registered byte for byte (section 3): %s',
    async (post_logout_redirect_uri) => {
      const { browser, id_token_hint } = await signIn();
      for (const who of [{ id_token_hint }, { client_id: client.id }, {}]) {
        const answer = await logout(browser, { ...who, post_logout_redirect_uri });
        expect(answer.status).toBe(400);
        expect(answer.headers['location']).toBeUndefined();
        expect(answer.body).not.toContain(`href="${post_logout_redirect_uri}"`);
      }
      expect(await isSignedIn(browser)).toBe(true);
    },
  );

  test('an address without an application to check it against is refused', async () => {
    const { browser } = await signIn();
    expect((await logout(browser, { post_logout_redirect_uri: BYE })).status).toBe(400);
  });

  test('an address of one application is no good for another', async () => {
    const other = await product.client();
    const { browser, tokens } = await product.grant(other);
    const fields = { id_token_hint: tokens.id_token, post_logout_redirect_uri: BYE };
    expect((await logout(browser, fields)).status).toBe(400);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('a hint that was given to another application is refused (section 2)', async () => {
    const { browser, id_token_hint } = await signIn();
    const other = await product.client({ post_logout_redirect_uris: [BYE] });
    const fields = { id_token_hint, client_id: other.id, post_logout_redirect_uri: BYE };
    const answer = await logout(browser, fields);
    expect(answer.status).toBe(400);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('a hint that is no ID token of ours is refused', async () => {
    const { browser, tokens, id_token_hint } = await signIn();
    const [header, claims] = id_token_hint.split('.');
    const forged = `${header}.${claims}.${Buffer.alloc(64, 7).toString('base64url')}`;
    for (const hint of ['garbage', forged, tokens.access_token, tokens.refresh_token]) {
      const answer = await logout(browser, { id_token_hint: hint, post_logout_redirect_uri: BYE });
      expect(answer.status).toBe(400);
    }
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('a disabled application cannot be returned to', async () => {
    const gone = await product.client({ post_logout_redirect_uris: [BYE] });
    await product.setClientStatus(gone, 'disabled');
    const answer = await logout(product.browser(), { client_id: gone.id, post_logout_redirect_uri: BYE });
    expect(answer.status).toBe(400);
  });

  test('a forged handle of the sign-out page leads nowhere', async () => {
    const { browser } = await signIn();
    const handle = Buffer.from(JSON.stringify({ client_id: client.id, uri: 'https://evil.example' }));
    for (const post_logout of [handle.toString('base64url'), 'bm9uc2Vuc2U', '!']) {
      const page = await browser.get(`/signout?${query({ post_logout })}`);
      expect(page.status).toBe(200);
      expect(page.body).not.toContain('evil.example');
    }
    const done = await browser.submit(await browser.get('/signout'), {
      post_logout: handle.toString('base64url'),
    });
    expect(done.location?.pathname).toBe('/auth/signout');
  });

  test('a parameter that comes twice is refused', async () => {
    const { browser, id_token_hint } = await signIn();
    const fields = { id_token_hint, post_logout_redirect_uri: [BYE, 'https://evil.example'] };
    expect((await logout(browser, fields)).status).toBe(400);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('access that was granted for offline use outlives the session (OpenID Connect Core 11)', async () => {
    const { browser, tokens } = await product.grant(client, { ask: { scope: 'openid offline_access' } });
    await logout(browser, { id_token_hint: tokens.id_token });
    expect((await product.refresh(client, tokens.refresh_token)).status).toBe(200);
  });

  test('is written down: whose session ended, and by whose wish', async () => {
    const { browser, id_token_hint } = await signIn();
    const before = await product.rooms.store.audit.list({ after: 0, limit: 10_000 });
    await logout(browser, { id_token_hint });
    const events = await product.rooms.store.audit.list({ after: before.length, limit: 10 });
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ action: 'session.ended' });
    expect(JSON.parse(events[0]!.detail_json)).toMatchObject({ by: 'application' });
  });
});
