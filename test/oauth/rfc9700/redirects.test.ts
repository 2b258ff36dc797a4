import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, authorizationRequest, CALLBACK, type Fields, PASSWORD, Product } from '../product.ts';

const ELSEWHERE = 'https://elsewhere.example/callback';

describeEngines('open redirection (RFC 9700 section 4.11.2)', (engine) => {
  let product: Product;
  let dynamic: Client;
  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_DCR_MODE: 'open' });
    const metadata = { redirect_uris: [ELSEWHERE], token_endpoint_auth_method: 'none' };
    const { json } = await product.call('POST', '/oauth/register', { json: metadata });
    dynamic = (await product.rooms.clients.find(json.client_id))!;
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const isSentAway = ({ location }: Answer) => location?.href.startsWith(ELSEWHERE) ?? false;

  test.each<[string, Fields]>([
    ['response_type', { response_type: 'x' }],
    ['scope', { scope: 'launch_rockets' }],
    ['a parameter sent twice', { state: ['a', 'b'] }],
    ['prompt', { prompt: 'none login' }],
    ['an answer by form_post', { response_mode: 'form_post', scope: 'launch_rockets' }],
  ])('a link that is faulty on purpose leads nobody away who did not sign in: %s', async (_, faulty) => {
    const { answer } = await product.browser().ask(dynamic, faulty);
    expect([answer.status, answer.location]).toEqual([400, undefined]);
    expect(answer.body).toContain('This did not work');
    expect(answer.body).not.toContain('elsewhere.example');
    const posted = await product.post('/oauth/authorize', { ...authorizationRequest(dynamic), ...faulty });
    expect([posted.status, posted.location]).toEqual([400, undefined]);
  });

  test('who signed in is sent back with the error, and so is who was to see no page', async () => {
    const browser = await product.signedIn((await product.user()).username);
    expect(isSentAway((await browser.ask(dynamic, { scope: 'launch_rockets' })).answer)).toBe(true);
    const silent = await product.browser().ask(dynamic, { scope: 'launch_rockets', prompt: 'none' });
    expect(isSentAway(silent.answer)).toBe(true);
  });

  test('an application that an administrator registered is told of errors by whoever comes', async () => {
    const client = await product.client({ redirect_uris: [ELSEWHERE] });
    const { answer } = await product.browser().ask(client, { scope: 'launch_rockets' });
    expect(isSentAway(answer)).toBe(true);
  });
});

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
