// What else ends the tokens of a sign-in: what happens to its user, its consent, its session, its client.

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Rooms } from '../../../src/app/compose.ts';
import type { User } from '../../../src/identity/user.ts';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Browser, bearer, PASSWORD, Product } from '../product.ts';

describeEngines('the end of a family of tokens (RFC 9700 section 4.14.2)', (engine) => {
  let product: Product;
  let witness: Client;

  beforeAll(async () => {
    product = await Product.open(engine);
    witness = await product.client({ audiences: ['https://issuer.example/auth'] });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  /** A user who has signed in to a client and given it tokens. */
  async function signIn(scope: string) {
    const user = await product.user();
    const client = await product.client();
    const { browser, tokens } = await product.grant(client, { username: user.username, ask: { scope } });
    return { user, client, browser, tokens };
  }

  type SignedIn = Awaited<ReturnType<typeof signIn>>;

  async function expectDead({ client, tokens }: SignedIn): Promise<void> {
    expect(await product.isActive(witness, tokens.access_token)).toBe(false);
    expect((await product.get('/oauth/userinfo', bearer(tokens.access_token))).status).toBe(401);
    const { status, json } = await product.refresh(client, tokens.refresh_token);
    expect([status, json.access_token]).toEqual([json.error === 'invalid_client' ? 401 : 400, undefined]);
  }

  async function expectAlive({ client, tokens }: SignedIn): Promise<void> {
    expect(await product.isActive(witness, tokens.access_token)).toBe(true);
    expect((await product.refresh(client, tokens.refresh_token)).status).toBe(200);
  }

  test.each<[string, (rooms: Rooms, user: User, client: Client) => Promise<unknown>]>([
    ['its user is disabled', ({ users }, { id }) => users.setStatus(id, 'disabled')],
    ['its user is removed', ({ users }, { id }) => users.remove(id)],
    ['the password is changed', ({ users }, { id }) => users.setPassword(id, 'another long password')],
    ['all sessions of the user are ended', ({ sessions }, { id }) => sessions.endAll(id)],
    [
      'its client is removed',
      ({ store, clock }, _, { id }) => store.clients.remove({ id, now: clock.now() }),
    ],
    [
      'its client is disabled',
      ({ store, clock }, _, { id }) => store.clients.setStatus({ id, status: 'disabled', now: clock.now() }),
    ],
  ])('all of it is dead once %s, with offline_access too', async (_, happens) => {
    for (const scope of ['openid', 'openid offline_access']) {
      const signedIn = await signIn(scope);
      const bystander = scope === 'openid' ? await signIn(scope) : undefined;
      await happens(product.rooms, signedIn.user, signedIn.client);
      await expectDead(signedIn);
      if (bystander) await expectAlive(bystander);
    }
  });

  test('a user who is enabled again finds the former tokens dead', async () => {
    const signedIn = await signIn('openid offline_access');
    await product.rooms.users.setStatus(signedIn.user.id, 'disabled');
    await product.rooms.users.setStatus(signedIn.user.id, 'active');
    await expectDead(signedIn);
  });

  test('withdrawing consent on the account page ends it, and other clients keep theirs', async () => {
    const signedIn = await signIn('openid offline_access');
    const { browser, user, client } = signedIn;
    const other = await product.client();
    const { tokens } = await product.grant(other, { browser });
    const answer = await browser.submit(await browser.get('/account'), {}, `/grants/${client.id}/withdraw`);
    expect(answer.location?.search).toBe('?notice=access_withdrawn');
    await expectDead(signedIn);
    await expectAlive({ user, client: other, browser, tokens });
    const again = await browser.ask(client);
    expect(again.answer.location?.pathname).toMatch(/\/consent$/);
  });

  const signOut = async (browser: Browser) => browser.submit(await browser.get('/signout'), {});

  test('signing out ends what did not ask for offline_access (OpenID Connect Core 11)', async () => {
    const signedIn = await signIn('openid');
    await signOut(signedIn.browser);
    await expectDead(signedIn);
  });

  test('what asked for offline_access, and was granted it, outlives the session (OpenID Connect Core 11)', async () => {
    const signedIn = await signIn('openid offline_access');
    expect(signedIn.tokens.scope).toBe('openid offline_access');
    await signOut(signedIn.browser);
    await expectAlive(signedIn);
  });

  test('a scope that only looks like offline_access does not count', async () => {
    await product.resource('https://lookalike.example', ['offline-access', 'OFFLINE_ACCESS']);
    const signedIn = await signIn('openid offline-access OFFLINE_ACCESS');
    await signOut(signedIn.browser);
    await expectDead(signedIn);
  });

  test('signing in again in the same browser does not take it out of reach of signing out', async () => {
    const { user, client, browser, tokens } = await signIn('openid');
    product.clock.advance(5);
    await browser.authorize(client, { prompt: 'login' }, user.username);
    expect(await product.isActive(witness, tokens.access_token)).toBe(true);
    await signOut(browser);
    await expectDead({ user, client, browser, tokens });
  });

  test('it outlives a session that nobody used for long, and ends with the one that follows', async () => {
    const { user, client, browser, tokens } = await signIn('openid');
    product.clock.advance(product.rooms.config.session.idle_timeout / 1000 + 1);
    expect((await browser.get('/account')).location?.pathname).toMatch(/signin$/);
    const { status, json: later } = await product.refresh(client, tokens.refresh_token);
    expect(status).toBe(200);
    await browser.submit(await browser.get('/signin'), { username: user.username, password: PASSWORD });
    await signOut(browser);
    await expectDead({ user, client, browser, tokens: later });
  });

  test('it ends when somebody else signs in in the same browser, but not with offline_access', async () => {
    const online = await signIn('openid');
    const { browser, user } = online;
    const client = await product.client();
    const { tokens } = await product.grant(client, { browser, ask: { scope: 'openid offline_access' } });
    const { username } = await product.user();
    product.clock.advance(5);
    await browser.authorize(client, { prompt: 'login' }, username);
    await expectDead(online);
    await expectAlive({ user, client, browser, tokens });
  });

  test('offline_access that the person unticked does not count', async () => {
    const user = await product.user();
    const client = await product.client();
    const browser = await product.signedIn(user.username);
    const { answer, verifier } = await browser.ask(client, { scope: 'openid email offline_access' });
    const decided = await browser.submit(await browser.follow(answer), {
      decision: 'allow',
      scope: ['0:email'],
    });
    const code = (await browser.walk(decided)).searchParams.get('code') ?? '';
    const { json: tokens } = await product.redeem(client, { code, verifier });
    expect(tokens.scope).toBe('openid email');
    await signOut(browser);
    await expectDead({ user, client, browser, tokens });
  });

  test('ending one session on the account page ends its tokens and not those of another device', async () => {
    const here = await signIn('openid');
    const { user, client } = here;
    const { browser, tokens } = await product.grant(client, { username: user.username });
    await browser.submit(await browser.get('/account'), {}, '/sessions/');
    await expectDead({ user, client, browser, tokens });
    await expectAlive(here);
  });
});
