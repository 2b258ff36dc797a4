import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, writeClient } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { bearer, claimsOf, type Fields, ISSUER, Product } from '../product.ts';

const NOTES = 'https://notes.example';
const MAIL = 'https://mail.example/api';
const BARE = 'https://bare.example';

describeEngines('resource indicators', (engine) => {
  let product: Product;
  let client: Client;
  beforeAll(async () => {
    product = await Product.open(engine);
    await product.resource(NOTES, ['notes:read', 'notes:write', 'export']);
    await product.resource(MAIL, ['mail:read', 'export']);
    await product.resource(BARE, []);
    client = await product.client();
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const grant = async (ask: Fields, token: Fields = {}) =>
    (await product.grant(client, { ask, token })).tokens;
  const userInfo = async (token: string) => (await product.get('/oauth/userinfo', bearer(token))).status;
  /** What the client is told of a request that it may not make. */
  const errorOf = async (ask: Fields) => {
    const { answer } = await product.browser().ask(client, ask);
    return answer.location?.searchParams.get('error');
  };

  describe('at the authorization endpoint (RFC 8707 section 2.1)', () => {
    test('a token is for the resource named and carries the scope that means something there', async () => {
      const tokens = await grant({ resource: NOTES, scope: 'openid notes:read' });
      expect(claimsOf(tokens.access_token)).toMatchObject({ aud: NOTES, scope: 'notes:read' });
      expect(tokens.scope).toBe('notes:read');
      expect(tokens.id_token, 'signing in is not lost by naming a resource').toBeDefined();
    });

    test('several resources are several audiences', async () => {
      const tokens = await grant({ resource: [NOTES, MAIL], scope: 'notes:read mail:read' });
      expect(claimsOf(tokens.access_token)).toMatchObject({
        aud: [NOTES, MAIL],
        scope: 'notes:read mail:read',
      });
    });

    test('the issuer is a resource too: with it named, the token opens UserInfo', async () => {
      const own = await grant({ resource: ISSUER, scope: 'openid email' });
      expect(claimsOf(own.access_token)).toMatchObject({ aud: ISSUER, scope: 'openid email' });
      expect(await userInfo(own.access_token)).toBe(200);
      const both = await grant({ resource: [NOTES, ISSUER], scope: 'openid notes:read' });
      expect(claimsOf(both.access_token)).toMatchObject({
        aud: [NOTES, ISSUER],
        scope: 'openid notes:read',
      });
      expect(await userInfo(both.access_token)).toBe(200);
    });

    test('beside the issuer, a scope of a resource that is not named is invalid_scope', async () => {
      expect(await errorOf({ resource: ISSUER, scope: 'openid notes:read' })).toBe('invalid_scope');
      expect(await errorOf({ resource: `${ISSUER}/` })).toBe('invalid_target');
    });

    test('the issuer named without a scope means what the default scope says of it', async () => {
      const bounded = await product.client({ scope: 'notes:read' });
      const { answer } = await product.browser().ask(bounded, { resource: ISSUER, scope: undefined });
      expect(answer.location?.searchParams.get('error')).toBe('invalid_scope');
      await using other = await Product.open(engine, {
        AUTHSERVER_OAUTH_DEFAULT_SCOPE: 'openid email notes:read',
      });
      await other.resource(NOTES, ['notes:read']);
      const app = await other.client();
      const { tokens } = await other.grant(app, { ask: { resource: ISSUER, scope: undefined } });
      expect(claimsOf(tokens.access_token)).toMatchObject({ aud: ISSUER, scope: 'openid email' });
    });

    test('one that is named twice counts once', async () => {
      const tokens = await grant({ resource: [NOTES, NOTES], scope: 'notes:read' });
      expect(claimsOf(tokens.access_token).aud).toBe(NOTES);
    });

    test('without a scope the catalogue of the resource is asked for', async () => {
      const tokens = await grant({ resource: MAIL, scope: undefined });
      expect(claimsOf(tokens.access_token)).toMatchObject({ aud: MAIL, scope: 'mail:read export' });
    });

    test.each([
      ['unknown', 'https://unknown.example'],
      ['with a slash more', `${NOTES}/`],
      ['with a slash less', 'https://mail.example'],
      ['in capitals', 'https://NOTES.example'],
      ['with a fragment', `${NOTES}#part`],
      ['with a query', `${NOTES}?a=b`],
      ['relative', '/notes'],
      ['no URI at all', 'notes'],
    ])('one that is %s is invalid_target (section 2)', async (_, resource) => {
      expect(await errorOf({ resource })).toBe('invalid_target');
      expect(await errorOf({ resource: [NOTES, resource] })).toBe('invalid_target');
    });

    test('the error goes back to the client with state and iss (RFC 6749 section 4.1.2.1, RFC 9207)', async () => {
      const { answer } = await product.browser().ask(client, { resource: 'https://unknown.example' });
      expect(Object.fromEntries(answer.location!.searchParams)).toMatchObject({
        error_description: expect.stringContaining('authserver admin resource create'),
        state: 'a state',
        iss: ISSUER,
      });
    });

    test('a scope that none of the resources named offers is invalid_scope', async () => {
      expect(await errorOf({ resource: NOTES, scope: 'openid mail:read' })).toBe('invalid_scope');
      expect(await errorOf({ resource: BARE, scope: 'openid notes:read' })).toBe('invalid_scope');
    });

    test('a scope beyond the ceiling of the client is invalid_scope, a resource adds nothing to it', async () => {
      const bounded = await product.client({ scope: 'openid notes:read' });
      const { answer } = await product.browser().ask(bounded, { resource: NOTES, scope: 'notes:write' });
      expect(answer.location?.searchParams.get('error')).toBe('invalid_scope');
      const { tokens } = await product.grant(bounded, { ask: { resource: NOTES, scope: undefined } });
      expect(claimsOf(tokens.access_token).scope).toBe('notes:read');
    });
  });

  describe('without a resource (decision 0003)', () => {
    test('the issuer is the audience, and UserInfo takes the token', async () => {
      const tokens = await grant({ scope: 'openid email' });
      expect(claimsOf(tokens.access_token)).toMatchObject({ aud: ISSUER, scope: 'openid email' });
      expect(await userInfo(tokens.access_token)).toBe(200);
    });

    test('every resource that owns one of the scopes is an audience too, with the issuer', async () => {
      const tokens = await grant({ scope: 'openid notes:read' });
      expect(claimsOf(tokens.access_token)).toMatchObject({
        aud: [ISSUER, NOTES],
        scope: 'openid notes:read',
      });
      expect(await userInfo(tokens.access_token)).toBe(200);
    });

    test('a scope that two resources own is for both', async () => {
      const { aud } = claimsOf((await grant({ scope: 'openid export' })).access_token);
      expect(aud.toSorted()).toEqual([ISSUER, MAIL, NOTES].toSorted());
    });

    test('a scope that nobody owns is invalid_scope', async () => {
      expect(await errorOf({ scope: 'openid unknown' })).toBe('invalid_scope');
    });

    test('a token for resources alone does not open UserInfo', async () => {
      const tokens = await grant({ resource: NOTES, scope: 'openid notes:read' });
      expect(await userInfo(tokens.access_token)).toBe(401);
    });
  });

  describe('at the token endpoint (section 2.2)', () => {
    const ask = { resource: [NOTES, MAIL], scope: 'openid notes:read mail:read offline_access' };

    test('a code buys a token for some of the resources, and a refresh for others', async () => {
      const tokens = await grant(ask, { resource: NOTES });
      expect(claimsOf(tokens.access_token)).toMatchObject({ aud: NOTES, scope: 'notes:read' });
      const mail = await product.refresh(client, tokens.refresh_token, { resource: MAIL });
      expect(claimsOf(mail.json.access_token)).toMatchObject({ aud: MAIL, scope: 'mail:read' });
      expect(mail.json.scope).toBe('mail:read');
    });

    test('narrowing one token narrows no later one', async () => {
      const tokens = await grant(ask, { resource: NOTES });
      const { json } = await product.refresh(client, tokens.refresh_token);
      expect(claimsOf(json.access_token)).toMatchObject({
        aud: [NOTES, MAIL],
        scope: 'notes:read mail:read',
      });
    });

    test('the audiences that followed from the scope can be narrowed too, even to the issuer', async () => {
      const tokens = await grant({ scope: 'openid notes:read' }, { resource: NOTES });
      expect(claimsOf(tokens.access_token)).toMatchObject({ aud: NOTES, scope: 'notes:read' });
      const { json } = await product.refresh(client, tokens.refresh_token, { resource: ISSUER });
      expect(claimsOf(json.access_token)).toMatchObject({ aud: ISSUER, scope: 'openid' });
    });

    test('one that was not granted is invalid_target, whether it exists or not, and the code is not burnt', async () => {
      const browser = await product.signedIn((await product.user()).username);
      const code = await browser.authorize(client, { resource: NOTES, scope: 'notes:read' });
      for (const resource of [MAIL, 'https://unknown.example', ISSUER, `${NOTES}#part`])
        expect(await product.redeem(client, code, { resource })).toMatchObject({
          status: 400,
          json: { error: 'invalid_target' },
        });
      expect(await product.redeem(client, code, { resource: [NOTES, MAIL] })).toMatchObject({ status: 400 });
      expect((await product.redeem(client, code, { resource: NOTES })).status).toBe(200);
    });

    test('one that was not granted is invalid_target at a refresh, and the refresh token is not spent', async () => {
      const tokens = await grant({ resource: NOTES, scope: 'notes:read' });
      const refused = await product.refresh(client, tokens.refresh_token, { resource: MAIL });
      expect(refused).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
      product.clock.advance(60);
      expect((await product.refresh(client, tokens.refresh_token)).status).toBe(200);
    });

    test('a scope that means nothing at the resource asked for is invalid_scope, and the token is not spent', async () => {
      const tokens = await grant(ask);
      const fields = { resource: NOTES, scope: 'mail:read' };
      const refused = await product.refresh(client, tokens.refresh_token, fields);
      expect(refused).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
      product.clock.advance(60);
      const both = { resource: NOTES, scope: 'notes:read mail:read' };
      const { json } = await product.refresh(client, tokens.refresh_token, both);
      expect(json.scope).toBe('notes:read');
    });

    test('without a scope a resource where nothing is left is answered without one', async () => {
      const tokens = await grant({ resource: [NOTES, BARE], scope: 'openid notes:read' });
      const { json } = await product.refresh(client, tokens.refresh_token, { resource: BARE });
      expect(claimsOf(json.access_token)).toMatchObject({ aud: BARE });
      expect(json).not.toHaveProperty('scope');
    });

    test('scope and resource narrow together (RFC 6749 section 6)', async () => {
      const tokens = await grant({ resource: [NOTES, MAIL], scope: 'notes:read notes:write mail:read' });
      const { json } = await product.refresh(client, tokens.refresh_token, {
        resource: NOTES,
        scope: 'notes:read',
      });
      expect(claimsOf(json.access_token)).toMatchObject({ aud: NOTES, scope: 'notes:read' });
      const wider = await product.refresh(client, json.refresh_token, { scope: 'notes:read export' });
      expect(wider).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
    });
  });

  describe('what administrators cut reaches grants that are running', () => {
    const A = 'https://a.example';
    const B = 'https://b.example';
    const two = () =>
      Promise.all([product.resource(A, ['a:read', 'a:write']), product.resource(B, ['b:read'])]);
    const remove = (resources: readonly { id: string }[]) =>
      Promise.all(
        resources.map(({ id }) => product.rooms.store.resources.remove({ id, now: product.clock.now() })),
      );
    const lower = (app: Client, scope: string) =>
      product.rooms.store.clients.update({ client: writeClient({ ...app, scope }) });

    test('a resource that was removed is no audience any more; without any left the answer is invalid_target', async () => {
      const [a, b] = await two();
      const app = await product.client();
      const { tokens } = await product.grant(app, {
        ask: { resource: [A, B], scope: 'openid a:read b:read' },
      });
      await remove([a]);
      const first = (await product.refresh(app, tokens.refresh_token)).json;
      expect(claimsOf(first.access_token)).toMatchObject({ aud: B, scope: 'b:read' });
      expect(await product.refresh(app, first.refresh_token, { resource: A })).toMatchObject({
        status: 400,
        json: { error: 'invalid_target' },
      });
      await remove([b]);
      expect(await product.refresh(app, first.refresh_token)).toMatchObject({
        status: 400,
        json: { error: 'invalid_target' },
      });
    });

    test('a code is held to it too', async () => {
      const resources = await two();
      const app = await product.client();
      const browser = await product.signedIn((await product.user()).username);
      const flow = await browser.authorize(app, { resource: A, scope: 'a:read' });
      await remove(resources);
      expect((await product.redeem(app, flow)).json.error).toBe('invalid_target');
    });

    test('a lowered ceiling lowers the scope, and takes the audience at which nothing is left', async () => {
      const resources = await two();
      const app = await product.client();
      const { tokens } = await product.grant(app, { ask: { scope: 'openid email a:read a:write b:read' } });
      await lower(app, 'openid a:read');
      const first = (await product.refresh(app, tokens.refresh_token)).json;
      expect(first.scope).toBe('openid a:read');
      expect(claimsOf(first.access_token)).toMatchObject({ aud: [ISSUER, A], scope: 'openid a:read' });
      await lower(app, 'a:read');
      const second = (await product.refresh(app, first.refresh_token)).json;
      expect(claimsOf(second.access_token)).toMatchObject({ aud: A, scope: 'a:read' });
      expect(second).not.toHaveProperty('id_token');
      await lower(app, 'a:write');
      const asked = await product.refresh(app, second.refresh_token, { scope: 'a:read' });
      expect(asked).toMatchObject({ status: 400, json: { error: 'invalid_scope' } });
      await lower(app, 'profile');
      const nothing = await product.refresh(app, second.refresh_token);
      expect(nothing).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
      await lower(app, '');
      const last = (await product.refresh(app, second.refresh_token)).json;
      expect(last.scope).toBe('openid email a:read a:write b:read');
      await remove(resources);
    });

    test('the ID token of a refresh keeps to the ceiling', async () => {
      const app = await product.client();
      const claims = JSON.stringify({ id_token: { email: null } });
      const { tokens } = await product.grant(app, { ask: { claims } });
      expect(claimsOf(tokens.id_token)).toHaveProperty('email');
      await lower(app, 'openid');
      const { json } = await product.refresh(app, tokens.refresh_token);
      expect(claimsOf(json.id_token)).not.toHaveProperty('email');
    });
  });

  describe('and consent', () => {
    test('is given for each resource: what one may do, another may not', async () => {
      const app = await product.client();
      const user = await product.user();
      const { browser } = await product.grant(app, {
        username: user.username,
        ask: { resource: NOTES, scope: 'openid export' },
      });
      const silently = async (ask: Fields) => {
        const { answer } = await browser.ask(app, { ...ask, prompt: 'none' });
        return answer.location?.searchParams.get('error') ?? 'code';
      };
      expect(await silently({ resource: NOTES, scope: 'openid export' })).toBe('code');
      expect(await silently({ resource: MAIL, scope: 'openid export' })).toBe('consent_required');
      expect(await silently({ resource: NOTES, scope: 'openid notes:read' })).toBe('consent_required');
      expect(await silently({ resource: [NOTES, MAIL], scope: 'openid export' })).toBe('consent_required');
      expect(await silently({ scope: 'openid export' })).toBe('consent_required');
      const consents = await product.rooms.store.consents.find({ user_id: user.id, client_id: app.id });
      expect(Object.fromEntries(consents.map(({ resource, scope }) => [resource, scope]))).toEqual({
        '': 'openid',
        [NOTES]: 'export',
      });
    });

    test('names the resource to the person, and a scope that is unticked is in no token', async () => {
      const app = await product.client();
      const browser = await product.signedIn((await product.user()).username);
      const { answer, verifier } = await browser.ask(app, {
        resource: NOTES,
        scope: 'openid notes:read notes:write',
      });
      const page = await browser.follow(answer);
      expect(page.body).toContain(NOTES);
      const decided = await browser.submit(page, { decision: 'allow', scope: ['0:openid', '1:notes:read'] });
      const back = await browser.walk(decided);
      const { json } = await product.redeem(app, { code: back.searchParams.get('code')!, verifier });
      expect(claimsOf(json.access_token)).toMatchObject({ aud: NOTES, scope: 'notes:read' });
      expect(json.scope).toBe('notes:read');
    });
  });
});
