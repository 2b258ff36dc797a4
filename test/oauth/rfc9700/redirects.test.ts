import { expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { authorizationRequest, CALLBACK, PASSWORD, Product } from '../product.ts';

describeEngines('redirects (RFC 9700 section 4.12)', (engine) => {
  test('every redirect after a POST is 303, so that no form, and no password, is posted on', async () => {
    await using product = await Product.open(engine);
    const client = await product.client({ post_logout_redirect_uris: ['https://app.example/bye'] });
    const { username } = await product.user();
    const browser = product.browser();
    const { answer, verifier } = await browser.ask(client);

    const signedIn = await browser.submit(await browser.follow(answer), { username, password: PASSWORD });
    const toConsent = await browser.follow(signedIn);
    const consented = await browser.submit(await browser.follow(toConsent), { decision: 'allow' });
    const toClient = await browser.follow(consented);
    expect(toClient.location?.href.startsWith(`${CALLBACK}?code=`)).toBe(true);
    const code = toClient.location?.searchParams.get('code') ?? '';
    const { id_token } = (await product.redeem(client, { code, verifier })).json;

    const asked = await browser.send('POST', '/oauth/authorize', authorizationRequest(client));
    const withdrawn = await browser.submit(await browser.get('/account'), {}, '/withdraw');
    const toDenial = await browser.follow((await browser.ask(client)).answer);
    const denied = await browser.submit(toDenial, { decision: 'deny' });
    const [second, third] = [await product.signedIn(username), await product.signedIn(username)];
    const endedOthers = await browser.submit(await browser.get('/account'), {}, '/end-others');
    const askedToLeave = await browser.send('POST', '/oauth/logout', { client_id: client.id });
    const signedOut = await browser.submit(await browser.get('/signout'), {});
    expect([second, third].map((one) => one.cookie('session'))).not.toContain(undefined);
    const fourth = await product.signedIn(username);
    const endedOne = await fourth.submit(await fourth.get('/account'), {}, '/sessions/');
    const left = await browser.send('POST', '/oauth/logout', {
      id_token_hint: id_token,
      post_logout_redirect_uri: 'https://app.example/bye',
    });

    const posts = {
      signedIn,
      consented,
      asked,
      withdrawn,
      denied,
      endedOthers,
      askedToLeave,
      signedOut,
      endedOne,
      left,
    };
    for (const [name, post] of Object.entries(posts))
      expect([name, post.status, post.location === undefined]).toEqual([name, 303, false]);
  });
});
