import { randomUUID } from 'node:crypto';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, basic, CALLBACK, type Fields, ISSUER, Product, SECRET } from '../product.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

interface Assertion {
  readonly claims?: JWTPayload;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
}

/** One key of each kind; PS256 signs with the RSA key of RS256. */
async function makeKeys() {
  const [ec, ed, rsa] = await Promise.all([
    generateKeyPair('ES256', { extractable: true }),
    generateKeyPair('EdDSA', { extractable: true }),
    generateKeyPair('RS256', { extractable: true }),
  ]);
  const keys = [
    { ...(await exportJWK(ec.publicKey)), kid: 'ES256' },
    { ...(await exportJWK(ed.publicKey)), kid: 'EdDSA' },
    { ...(await exportJWK(rsa.publicKey)), kid: 'RS256' },
  ];
  // Web Crypto binds an RSA key to one algorithm, so the same key is read again for the other.
  const rsaJwk = { ...(await exportJWK(rsa.privateKey)) };
  const pss = await crypto.subtle.importKey('jwk', rsaJwk, { name: 'RSA-PSS', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  const privateKeys = { ES256: ec.privateKey, EdDSA: ed.privateKey, RS256: rsa.privateKey, PS256: pss };
  return { jwks: { keys }, privateKeys };
}

describeEngines('private_key_jwt', (engine) => {
  let product: Product;
  let keys: Awaited<ReturnType<typeof makeKeys>>;
  let client: Client;
  beforeAll(async () => {
    [product, keys] = await Promise.all([Product.open(engine), makeKeys()]);
    client = await newClient();
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const newClient = () =>
    product.service('', { token_endpoint_auth_method: 'private_key_jwt', jwks: keys.jwks });
  const seconds = () => product.clock.now() / 1000;

  /** An assertion as RFC 7523 section 3 wants it; what is given goes over it, undefined takes away. */
  function assert({ claims, header, key }: Assertion = {}): Promise<string> {
    const now = seconds();
    const payload: JWTPayload = {
      iss: client.id,
      sub: client.id,
      aud: ISSUER,
      jti: randomUUID(),
      iat: now,
      exp: now + 60,
      ...claims,
    };
    const present = Object.entries(payload).filter(([, value]) => value !== undefined);
    return new SignJWT(Object.fromEntries(present))
      .setProtectedHeader({ alg: 'ES256', kid: 'ES256', ...header })
      .sign(key ?? keys.privateKeys.ES256);
  }

  const present = (client_assertion: string, form: Fields = {}, address = '/oauth/token'): Promise<Answer> =>
    product.post(address, {
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion,
      ...form,
    });

  const refused = {
    status: 401,
    json: { error: 'invalid_client', error_description: 'Client authentication failed.' },
  };

  test.each(['ES256', 'EdDSA', 'RS256', 'PS256'] as const)(
    'proves a client with %s (RFC 7523 section 2.2)',
    async (alg) => {
      const kid = alg === 'PS256' ? 'RS256' : alg;
      const assertion = await assert({ header: { alg, kid }, key: keys.privateKeys[alg] });
      expect((await present(assertion)).status).toBe(200);
    },
  );

  test('metadata announces just these algorithms (RFC 8414 section 2)', async () => {
    const { json } = await product.get('/.well-known/openid-configuration');
    for (const endpoint of ['token', 'introspection', 'revocation']) {
      const member = `${endpoint}_endpoint_auth_signing_alg_values_supported`;
      expect(json[member].toSorted()).toEqual(['ES256', 'EdDSA', 'PS256', 'RS256']);
    }
  });

  test.each([
    ['the issuer', () => ISSUER],
    ['the token endpoint', () => `${ISSUER}/oauth/token`],
    ['a list with the issuer', () => ['https://other.example', ISSUER]],
  ])('may be meant for %s (section 3, rule 3)', async (_, aud) => {
    expect((await present(await assert({ claims: { aud: aud() } }))).status).toBe(200);
  });

  test('works at introspection and revocation too', async () => {
    const { json } = await present(await assert());
    const asked = await present(await assert(), { token: json.access_token }, '/oauth/introspect');
    expect(asked.json).toMatchObject({ active: true, client_id: client.id });
    const revoked = await present(await assert(), { token: json.access_token }, '/oauth/revoke');
    expect(revoked.status).toBe(200);
    const askedAgain = await present(await assert(), { token: json.access_token }, '/oauth/introspect');
    expect(askedAgain.json).toEqual({ active: false });
  });

  test('a client_id beside it is taken when it is the same (RFC 7521 section 4.2)', async () => {
    expect((await present(await assert(), { client_id: client.id })).status).toBe(200);
    const other = await newClient();
    expect(await present(await assert(), { client_id: other.id })).toMatchObject(refused);
  });

  test.each<[string, (now: number) => JWTPayload]>([
    ['meant for another server', () => ({ aud: 'https://other.example' })],
    ['meant for the issuer with a slash', () => ({ aud: `${ISSUER}/` })],
    ['meant for nobody', () => ({ aud: undefined })],
    ['of another issuer', () => ({ iss: 'https://idp.example' })],
    ['without an issuer', () => ({ iss: undefined })],
    ['about another subject', () => ({ sub: 'cli_other' })],
    ['without a subject', () => ({ sub: undefined })],
    ['about a subject with U+0000', () => ({ sub: 'cli\0', iss: 'cli\0' })],
    ['expired beyond the skew', (now) => ({ exp: now - 31 })],
    ['without an end', () => ({ exp: undefined })],
    ['that lives for more than ten minutes and the skew', (now) => ({ exp: now + 631 })],
    ['not valid yet', (now) => ({ nbf: now + 31 })],
    ['without a jti', () => ({ jti: undefined })],
    ['with an empty jti', () => ({ jti: '' })],
    ['with a number as jti', () => ({ jti: 7 as unknown as string })],
  ])('one %s is refused (RFC 7523 section 3)', async (_, claims) => {
    expect(await present(await assert({ claims: claims(seconds()) }))).toMatchObject(refused);
  });

  test.each<[string, (now: number) => JWTPayload]>([
    ['ended within the skew', (now) => ({ exp: now - 29 })],
    ['that lives for ten minutes', (now) => ({ exp: now + 600 })],
    ['with a fraction of a millisecond in its end (RFC 7519 section 2)', (now) => ({ exp: now + 60.00071 })],
    ['with U+0000 in its jti', () => ({ jti: `a\0${randomUUID()}` })],
    ['with a very long jti', () => ({ jti: randomUUID().repeat(500) })],
  ])('one %s is taken', async (_, claims) => {
    expect((await present(await assert({ claims: claims(seconds()) }))).status).toBe(200);
  });

  test('one signed with another key, even under the same kid, is refused', async () => {
    const { privateKey } = await generateKeyPair('ES256');
    expect(await present(await assert({ key: privateKey }))).toMatchObject(refused);
  });

  test('one that names a key which the client does not have is refused', async () => {
    expect(await present(await assert({ header: { kid: 'unknown' } }))).toMatchObject(refused);
  });

  test('one without a signature is refused (RFC 8725 section 3.2)', async () => {
    const now = seconds();
    const unsecured = new UnsecuredJWT({
      iss: client.id,
      sub: client.id,
      aud: ISSUER,
      jti: 'a',
      exp: now + 60,
    });
    expect(await present(unsecured.encode())).toMatchObject(refused);
  });

  test('one with HS256 is refused, the public key being no secret (RFC 8725 section 3.1)', async () => {
    const secret = new TextEncoder().encode(JSON.stringify(keys.jwks.keys[0]));
    expect(await present(await assert({ header: { alg: 'HS256' }, key: secret }))).toMatchObject(refused);
  });

  test('a key of one algorithm does not prove another', async () => {
    const assertion = await assert({ header: { alg: 'EdDSA', kid: 'ES256' }, key: keys.privateKeys.EdDSA });
    expect(await present(assertion)).toMatchObject(refused);
  });

  test.each(['', 'a', 'a.b.c', '..', 'eyJhbGciOiJFUzI1NiJ9.bnVsbA.AAAA'])(
    'nonsense is refused: "%s"',
    async (nonsense) => {
      expect((await present(nonsense)).json.error).toBe('invalid_client');
    },
  );

  test.each([undefined, '', 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer'])(
    'without the right client_assertion_type it is refused: %s (section 2.2)',
    async (client_assertion_type) => {
      expect(await present(await assert(), { client_assertion_type })).toMatchObject(refused);
    },
  );

  test('works once (section 3, rule 7)', async () => {
    const assertion = await assert();
    expect((await present(assertion)).status).toBe(200);
    expect(await present(assertion)).toMatchObject(refused);
    product.clock.advance(59);
    expect(await present(assertion)).toMatchObject(refused);
  });

  test('works once until its very last moment, where that is a fraction of a second (RFC 7519 section 2)', async () => {
    const assertion = await assert({ claims: { exp: seconds() + 60.25 } });
    expect((await present(assertion)).status).toBe(200);
    for (let quarter = 0; quarter < 8; quarter++) {
      product.clock.advance(quarter === 0 ? 90 : 0.25);
      expect(await present(assertion)).toMatchObject(refused);
    }
    product.clock.advance(0.25);
  });

  test('works once however many bring it at the same time', async () => {
    const assertion = await assert();
    const answers = await Promise.all(Array.from({ length: 20 }, () => present(assertion)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(19).fill(401)]);
  });

  test('a jti that somebody else used, or forged, is still good', async () => {
    const jti = randomUUID();
    const { privateKey } = await generateKeyPair('ES256');
    const other = await newClient();
    const theirs = await assert({ claims: { jti, iss: other.id, sub: other.id } });
    expect((await present(theirs)).status).toBe(200);
    expect(await present(await assert({ claims: { jti }, key: privateKey }))).toMatchObject(refused);
    expect((await present(await assert({ claims: { jti } }))).status).toBe(200);
  });

  test('together with a secret it is one way too many (RFC 6749 section 2.3)', async () => {
    const inBody = await present(await assert(), { client_secret: SECRET });
    expect(inBody).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
    const form = { grant_type: 'client_credentials', client_assertion_type: ASSERTION_TYPE };
    const inHeader = await product.post(
      '/oauth/token',
      { ...form, client_assertion: await assert() },
      basic(client.id, SECRET),
    );
    expect(inHeader).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  test('is the only method of a client that registered it, and of no other', async () => {
    expect(
      await product.post('/oauth/token', { grant_type: 'client_credentials' }, basic(client.id, SECRET)),
    ).toMatchObject(refused);
    const withSecret = await product.service();
    const claims = { iss: withSecret.id, sub: withSecret.id };
    expect(await present(await assert({ claims }))).toMatchObject(refused);
  });

  test('a disabled client proves nothing', async () => {
    const disabled = await newClient();
    await product.setClientStatus(disabled, 'disabled');
    const claims = { iss: disabled.id, sub: disabled.id };
    expect(await present(await assert({ claims }))).toMatchObject(refused);
  });

  test('redeems codes as well as any other method', async () => {
    const web = await product.client({
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: keys.jwks,
      redirect_uris: [CALLBACK],
    });
    const browser = await product.signedIn((await product.user()).username);
    const { code, verifier } = await browser.authorize(web);
    const answer = await present(await assert({ claims: { iss: web.id, sub: web.id } }), {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: CALLBACK,
    });
    expect(answer.json).toMatchObject({ token_type: 'Bearer', id_token: expect.any(String) });
  });
});
