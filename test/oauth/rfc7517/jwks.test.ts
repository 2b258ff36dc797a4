import { createHash } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { claimsOf, ISSUER, Product } from '../product.ts';
import { verifyAccessToken, verifyJwt } from '../verify.ts';

const JWKS = '/.well-known/jwks.json';
const MAX_AGE = 120;

const ALGORITHMS = [
  { algorithm: 'ES256', members: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'], hash: 'sha256' },
  { algorithm: 'EdDSA', members: ['alg', 'crv', 'kid', 'kty', 'use', 'x'], hash: 'sha512' },
  { algorithm: 'RS256', members: ['alg', 'e', 'kid', 'kty', 'n', 'use'], hash: 'sha256' },
];

describeEngines('the key set', (engine) => {
  describe.each(ALGORITHMS)('with $algorithm', ({ algorithm, members, hash }) => {
    let product: Product;
    beforeAll(async () => {
      product = await Product.open(engine, { AUTHSERVER_SIGNING_ALGORITHM: algorithm });
    });
    afterAll(() => product[Symbol.asyncDispose]());

    test('holds the public members of a key and none of its private ones (RFC 7517 section 4, RFC 7518 section 6)', async () => {
      const answer = await product.get(JWKS);
      expect(answer.headers['content-type']).toBe('application/jwk-set+json');
      const [key, ...more] = answer.json.keys;
      expect(more).toEqual([]);
      expect(Object.keys(key).sort()).toEqual(members);
      expect(key).toMatchObject({ alg: algorithm, use: 'sig', kid: expect.stringMatching(/^[\w-]{43}$/) });
    });

    test('verifies what is signed: access tokens and ID tokens, by kid and alg (RFC 7515 section 4.1)', async () => {
      const client = await product.client();
      const { tokens } = await product.grant(client);
      const access = await verifyAccessToken(product, tokens.access_token, ISSUER);
      const id = await verifyJwt(product, tokens.id_token, { audience: client.id, typ: 'JWT' });
      const [{ kid }] = (await product.get(JWKS)).json.keys;
      expect(access.protectedHeader).toEqual({ alg: algorithm, typ: 'at+jwt', kid });
      expect(id.protectedHeader).toEqual({ alg: algorithm, typ: 'JWT', kid });
    });

    test(`at_hash is the left half of the ${hash} of the access token (OpenID Connect Core 3.1.3.6)`, async () => {
      const { tokens } = await product.grant(await product.client());
      const digest = createHash(hash).update(tokens.access_token).digest();
      const half = digest.subarray(0, digest.length / 2).toString('base64url');
      expect(claimsOf(tokens.id_token).at_hash).toBe(half);
    });

    test('metadata names the algorithm of ID tokens (Discovery 3)', async () => {
      const { json } = await product.get('/.well-known/openid-configuration');
      expect(json.id_token_signing_alg_values_supported).toEqual([algorithm]);
    });

    test('a signature with one bit changed is not ours', async () => {
      const { tokens } = await product.grant(await product.client());
      const [header, claims, signature] = tokens.access_token.split('.');
      const bytes = Buffer.from(signature, 'base64url');
      bytes[10]! ^= 1;
      const forged = `${header}.${claims}.${bytes.toString('base64url')}`;
      await expect(verifyAccessToken(product, forged, ISSUER)).rejects.toThrow('signature');
      const answer = await product.get('/oauth/userinfo', { authorization: `Bearer ${forged}` });
      expect(answer.status).toBe(401);
    });
  });
});

describeEngines('the key set across a rotation', (engine) => {
  test('nobody who caches it as long as allowed ever meets a token that it cannot verify (design of the key lifecycle)', async () => {
    await using product = await Product.open(engine, { AUTHSERVER_SIGNING_JWKS_MAX_AGE: `${MAX_AGE}s` });
    const { keyring } = product.rooms;
    const service = await product.service();
    const sign = async (): Promise<string> =>
      (await product.token(service, { grant_type: 'client_credentials' })).json.access_token;
    const kidOf = (jwt: string) => decodeProtectedHeader(jwt).kid;
    const published = async (): Promise<string[]> =>
      (await product.get(JWKS)).json.keys.map(({ kid }: { kid: string }) => kid);

    const { headers } = await product.get(JWKS);
    expect(headers['cache-control']).toBe(`public, max-age=${MAX_AGE}`);
    const former = kidOf(await sign())!;

    const { kid, started } = await keyring.rotate();
    expect(started).toBe(true);
    expect(await published(), 'the new key is published at once').toEqual([former, kid]);
    expect(kidOf(await sign())).toBe(former);

    product.clock.advance(MAX_AGE);
    await keyring.tick();
    const last = await sign();
    expect(kidOf(last), 'not before every cached key set has it').toBe(former);

    product.clock.advance(60);
    await keyring.tick();
    const next = await sign();
    expect(kidOf(next)).toBe(kid);
    expect(await published(), 'the former key verifies as long as its tokens live').toEqual([kid, former]);
    await verifyAccessToken(product, last, ISSUER);
    await verifyAccessToken(product, next, ISSUER);

    product.clock.advance(claimsOf(last).exp - product.clock.now() / 1000 - 1);
    await keyring.tick();
    await verifyAccessToken(product, last, ISSUER);

    product.clock.advance(180);
    await keyring.tick();
    expect(await published()).toEqual([kid]);
    await expect(verifyAccessToken(product, last, ISSUER)).rejects.toThrow('no applicable key');
  });

  test('the max-age is the one that the key lifecycle waits for', async () => {
    await using product = await Product.open(engine);
    const { headers } = await product.get(JWKS);
    expect(headers['cache-control']).toBe(`public, max-age=${product.rooms.keyring.jwksMaxAge / 1000}`);
    const { activates_at } = await product.rooms.keyring.rotate();
    expect(activates_at - product.clock.now()).toBeGreaterThanOrEqual(product.rooms.keyring.jwksMaxAge);
  });
});
