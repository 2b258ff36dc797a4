import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { bearer, type Fields, Product } from '../product.ts';

const USERINFO = '/oauth/userinfo';

describeEngines('UserInfo', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const grant = async (ask: Fields) => {
    const client = await product.client();
    const user = await product.user();
    const { tokens, browser } = await product.grant(client, { username: user.username, ask });
    return {
      client,
      user,
      tokens,
      browser,
      userInfo: () => product.get(USERINFO, bearer(tokens.access_token)),
    };
  };

  test('says with openid alone who it is, and nothing else (OpenID Connect Core 5.3.2)', async () => {
    const { user, userInfo } = await grant({ scope: 'openid' });
    const answer = await userInfo();
    expect(answer.json).toEqual({ sub: user.id });
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'no-store' });
  });

  test('says with email the address and whether it is verified (Core 5.4)', async () => {
    const { user, userInfo } = await grant({ scope: 'openid email' });
    expect((await userInfo()).json).toEqual({
      sub: user.id,
      email: `${user.username}@example.com`,
      email_verified: true,
    });
  });

  test('says with profile the profile, leaving out what has no value (Core 5.3.2, 5.4)', async () => {
    const { user, userInfo } = await grant({ scope: 'openid profile' });
    expect((await userInfo()).json).toEqual({
      sub: user.id,
      name: 'Alice Example',
      given_name: 'Alice',
      preferred_username: user.username,
      updated_at: Math.floor(user.updated_at / 1000),
    });
  });

  test('says the same by POST (Core 5.3.1)', async () => {
    const { tokens, userInfo } = await grant({ scope: 'openid email profile' });
    const posted = await product.post(USERINFO, { access_token: tokens.access_token });
    expect(posted.json).toEqual((await userInfo()).json);
  });

  test('its subject is that of the ID token (Core 5.3.2)', async () => {
    const { client, tokens, userInfo } = await grant({ scope: 'openid offline_access' });
    const { json } = await product.refresh(client, tokens.refresh_token);
    const [, claims = ''] = json.id_token.split('.');
    const { sub } = JSON.parse(Buffer.from(claims, 'base64url').toString());
    expect((await userInfo()).json.sub).toBe(sub);
  });

  test('says what is true now, not what was when the token was issued', async () => {
    const { user, userInfo } = await grant({ scope: 'openid email' });
    await product.rooms.users.update(user.id, {
      email: `new-${user.username}@example.com`,
      email_verified: false,
    });
    expect((await userInfo()).json).toMatchObject({
      email: `new-${user.username}@example.com`,
      email_verified: false,
    });
  });

  test('a scope that was unticked is not told', async () => {
    const client = await product.client();
    const browser = await product.signedIn((await product.user()).username);
    const { answer, verifier } = await browser.ask(client, { scope: 'openid email profile' });
    const page = await browser.follow(answer);
    const back = await browser.walk(await browser.submit(page, { decision: 'allow', scope: ['0:profile'] }));
    const { json } = await product.redeem(client, { code: back.searchParams.get('code')!, verifier });
    const { json: claims } = await product.get(USERINFO, bearer(json.access_token));
    expect(claims).toHaveProperty('name');
    expect(claims).not.toHaveProperty('email');
  });

  test('a refresh for less scope gives a token that tells less (RFC 6749 section 6)', async () => {
    const { client, tokens, user } = await grant({ scope: 'openid email' });
    const { json } = await product.refresh(client, tokens.refresh_token, { scope: 'openid' });
    expect((await product.get(USERINFO, bearer(json.access_token))).json).toEqual({ sub: user.id });
  });

  test('a disabled user is nobody at once', async () => {
    const { user, userInfo } = await grant({ scope: 'openid' });
    await product.rooms.users.setStatus(user.id, 'disabled');
    expect(await userInfo()).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
  });

  test('after signing out the token of that session is dead at once', async () => {
    const { browser, userInfo } = await grant({ scope: 'openid' });
    await browser.submit(await browser.get('/signout'), {});
    expect((await userInfo()).status).toBe(401);
  });

  test('takes no other method', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH'])
      expect((await product.call(method, USERINFO)).status).toBe(405);
  });
});
