import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { bearer, Product } from '../product.ts';

const USERINFO = '/oauth/userinfo';
const NOTES = 'https://notes.example';

describeEngines('bearer tokens', (engine) => {
  let product: Product;
  let token: string;
  beforeAll(async () => {
    product = await Product.open(engine);
    await product.resource(NOTES, ['notes:read']);
    token = await newToken();
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const newToken = async (): Promise<string> =>
    (await product.grant(await product.client())).tokens.access_token;

  test.each(['GET', 'POST'])('travel in the header of a %s (RFC 6750 section 2.1)', async (method) => {
    expect((await product.call(method, USERINFO, { headers: bearer(token) })).status).toBe(200);
  });

  test.each(['Bearer', 'bearer', 'BEARER'])(
    'the scheme %s is read in any case (RFC 9110 section 11.1)',
    async (scheme) => {
      expect((await product.get(USERINFO, { authorization: `${scheme} ${token}` })).status).toBe(200);
    },
  );

  test('travel in the form of a POST (section 2.2)', async () => {
    expect((await product.post(USERINFO, { access_token: token })).status).toBe(200);
  });

  test('do not travel in the address, where logs would keep them (OAuth 2.1 section 5.2.1)', async () => {
    const answer = await product.get(`${USERINFO}?access_token=${token}`);
    expect(answer.status).toBe(401);
  });

  test('in two ways at once, or twice, they are invalid_request with a challenge (sections 2 and 3.1)', async () => {
    const both = await product.post(USERINFO, { access_token: token }, bearer(token));
    const twice = await product.post(USERINFO, { access_token: [token, token] });
    for (const answer of [both, twice]) {
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="invalid_request"/);
    }
  });

  test('who brings none is only told how: a bare challenge (section 3.1)', async () => {
    const answer = await product.get(USERINFO);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  test.each(['garbage', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.', `rt_${'x'.repeat(43)}`])(
    'one that is wrong is invalid_token (section 3.1): %s',
    async (wrong) => {
      const answer = await product.get(USERINFO, bearer(wrong));
      expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
      expect(answer.headers['www-authenticate']).toMatch(
        /^Bearer error="invalid_token", error_description="[ !#-[\]-~]+"$/,
      );
    },
  );

  test.each(['Basic dXNlcjpwYXNz', 'Bearer', 'Bearer ', 'Bearer a b', 'Bearer a,b', 'Digest x'])(
    'a header without a bearer token is invalid_request (section 3.1): "%s"',
    async (authorization) => {
      const answer = await product.get(USERINFO, { authorization });
      expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer error="invalid_request"/);
    },
  );

  test('one that lacks the scope is insufficient_scope, and the challenge names it (section 3.1)', async () => {
    const client = await product.client();
    const { tokens } = await product.grant(client, { ask: { scope: 'notes:read' } });
    const answer = await product.get(USERINFO, bearer(tokens.access_token));
    expect(answer).toMatchObject({ status: 403, json: { error: 'insufficient_scope' } });
    expect(answer.headers['www-authenticate']).toMatch(
      /^Bearer error="insufficient_scope", .*scope="openid"$/,
    );
  });

  test('one that a client got for itself speaks of nobody: insufficient_scope', async () => {
    const service = await product.service('notes:read');
    const { json } = await product.token(service, { grant_type: 'client_credentials' });
    expect((await product.get(USERINFO, bearer(json.access_token))).status).toBe(403);
  });

  test('one for a resource alone is invalid_token elsewhere (RFC 9068 section 4)', async () => {
    const client = await product.client();
    const { tokens } = await product.grant(client, { ask: { scope: 'openid notes:read', resource: NOTES } });
    const answer = await product.get(USERINFO, bearer(tokens.access_token));
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_token' } });
  });

  test('the answer is kept by nobody, with or without a fault (section 5.3)', async () => {
    for (const answer of [await product.get(USERINFO, bearer(token)), await product.get(USERINFO)])
      expect(answer.headers).toMatchObject({
        'cache-control': 'no-store',
        'content-type': 'application/json',
      });
  });

  test('an expired one is invalid_token (section 3.1)', async () => {
    const short = await newToken();
    product.clock.advance(900);
    expect(await product.get(USERINFO, bearer(short))).toMatchObject({
      status: 401,
      json: { error: 'invalid_token' },
    });
  });
});
