import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { bearer, type Fields, Product } from '../product.ts';

describeEngines('revocation', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const revoke = (client: Client, token: string, form: Fields = {}) =>
    product.as(client, '/oauth/revoke', { token, ...form });
  const grant = async (metadata = {}) => {
    const client = await product.client(metadata);
    const { tokens } = await product.grant(client);
    return { client, tokens };
  };
  const userInfo = async (token: string) => (await product.get('/oauth/userinfo', bearer(token))).status;

  test('of an access token takes effect at once, at every place that looks (RFC 7009 section 2)', async () => {
    const { client, tokens } = await grant();
    expect(await userInfo(tokens.access_token)).toBe(200);
    const answer = await revoke(client, tokens.access_token);
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(await userInfo(tokens.access_token)).toBe(401);
    expect(await product.isActive(client, tokens.access_token)).toBe(false);
  });

  test('of an access token leaves the grant alone: it can be refreshed (section 2.1)', async () => {
    const { client, tokens } = await grant();
    await revoke(client, tokens.access_token);
    expect((await product.refresh(client, tokens.refresh_token)).status).toBe(200);
  });

  test('of a refresh token ends the whole family: access tokens, predecessors and successors (section 2.1)', async () => {
    const { client, tokens: first } = await grant();
    const { json: second } = await product.refresh(client, first.refresh_token);
    const { json: third } = await product.refresh(client, second.refresh_token);
    expect((await revoke(client, third.refresh_token)).status).toBe(200);
    for (const { access_token } of [first, second, third]) expect(await userInfo(access_token)).toBe(401);
    expect(await product.refresh(client, third.refresh_token)).toMatchObject({
      status: 400,
      json: { error: 'invalid_grant' },
    });
  });

  test('of a spent refresh token ends the family too', async () => {
    const { client, tokens } = await grant();
    const { json: next } = await product.refresh(client, tokens.refresh_token);
    expect((await revoke(client, tokens.refresh_token)).status).toBe(200);
    expect((await product.refresh(client, next.refresh_token)).status).toBe(400);
  });

  test('of one grant does not touch another of the same user and client', async () => {
    const client = await product.client();
    const browser = await product.signedIn((await product.user()).username);
    const { tokens: one } = await product.grant(client, { browser });
    const { tokens: two } = await product.grant(client, { browser });
    await revoke(client, one.refresh_token);
    expect(await userInfo(two.access_token)).toBe(200);
    expect((await product.refresh(client, two.refresh_token)).status).toBe(200);
  });

  test('of a token that a client got for itself', async () => {
    const service = await product.service();
    const { json } = await product.token(service, { grant_type: 'client_credentials' });
    expect(await product.isActive(service, json.access_token)).toBe(true);
    await revoke(service, json.access_token);
    expect(await product.isActive(service, json.access_token)).toBe(false);
  });

  test('is told the same again and again (section 2.2)', async () => {
    const { client, tokens } = await grant();
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      expect((await revoke(client, token)).status).toBe(200);
      expect((await revoke(client, token)).status).toBe(200);
    }
  });

  test('of what is no token, or no more, is 200 (section 2.2)', async () => {
    const { client, tokens } = await grant();
    for (const token of ['garbage', 'a.b.c', `rt_${'x'.repeat(43)}`, '🔑', tokens.id_token])
      expect(await revoke(client, token), token).toMatchObject({ status: 200, body: '' });
    product.clock.advance(1000);
    expect((await revoke(client, tokens.access_token)).status).toBe(200);
    expect((await product.refresh(client, tokens.refresh_token)).status).toBe(200);
  });

  test('of the token of another client is refused, and the token lives on (section 2.1)', async () => {
    const { client, tokens } = await grant();
    const other = await product.client();
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      expect(await revoke(other, token)).toMatchObject({
        status: 400,
        json: { error: 'unauthorized_client' },
      });
      expect(await product.isActive(client, token)).toBe(true);
    }
  });

  test.each(['access_token', 'refresh_token', 'nonsense'])(
    'finds the token whatever token_type_hint=%s says (section 2.1)',
    async (token_type_hint) => {
      const { client, tokens } = await grant();
      await revoke(client, tokens.access_token, { token_type_hint });
      expect(await product.isActive(client, tokens.access_token)).toBe(false);
      expect(await product.isActive(client, tokens.refresh_token)).toBe(true);
      await revoke(client, tokens.refresh_token, { token_type_hint });
      expect(await product.isActive(client, tokens.refresh_token)).toBe(false);
    },
  );

  test('by a public client, of its own tokens (section 2.1)', async () => {
    const { client, tokens } = await grant({ token_endpoint_auth_method: 'none' });
    expect((await revoke(client, tokens.refresh_token)).status).toBe(200);
    expect(await userInfo(tokens.access_token)).toBe(401);
    const { client: other, tokens: theirs } = await grant({ token_endpoint_auth_method: 'none' });
    expect((await revoke(client, theirs.refresh_token)).status).toBe(400);
    expect((await product.refresh(other, theirs.refresh_token)).status).toBe(200);
  });

  test('without proof of the client is refused, and the token lives on (section 2.1)', async () => {
    const { client, tokens } = await grant();
    const { access_token: token } = tokens;
    expect((await product.post('/oauth/revoke', { token })).status).toBe(401);
    expect((await product.post('/oauth/revoke', { token, client_id: client.id })).status).toBe(401);
    expect(await product.isActive(client, token)).toBe(true);
  });

  test('without a token, or with two, is invalid_request (section 2.1, RFC 6749 section 3.2)', async () => {
    const { client } = await grant();
    for (const token of [undefined, '', ['a', 'b']])
      expect(await product.as(client, '/oauth/revoke', { token })).toMatchObject({
        status: 400,
        json: { error: 'invalid_request' },
      });
  });

  test('is written down once: who revoked what', async () => {
    const { client, tokens } = await grant();
    await revoke(client, tokens.refresh_token);
    await revoke(client, tokens.refresh_token);
    const events = await product.rooms.store.audit.list({ after: 0, limit: 10_000 });
    const own = events.filter(
      ({ action, client_id }) => action === 'token.revoked' && client_id === client.id,
    );
    expect(own).toHaveLength(1);
    expect(own[0]).toMatchObject({ actor: `client:${client.id}` });
  });

  test('20 at a time all succeed, while the token is being refreshed; nothing of the family survives', async () => {
    const { client, tokens } = await grant();
    const [refreshed, ...answers] = await Promise.all([
      product.refresh(client, tokens.refresh_token),
      ...Array.from({ length: 20 }, () => revoke(client, tokens.refresh_token)),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    if (refreshed.status === 200) expect(await userInfo(refreshed.json.access_token)).toBe(401);
    expect(await userInfo(tokens.access_token)).toBe(401);
  });
});
