import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../../src/registry/clients.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, type Browser, challengeOf, type Fields, newVerifier, Product } from '../product.ts';

const WITHOUT = { code_challenge: undefined, code_challenge_method: undefined };

describeEngines('PKCE (RFC 7636)', (engine) => {
  let product: Product;
  let client: Client;
  let open: Client;
  let lenient: Client;
  let browser: Browser;

  beforeAll(async () => {
    product = await Product.open(engine);
    client = await product.client({ skip_consent: true });
    open = await product.client({ skip_consent: true, token_endpoint_auth_method: 'none' });
    lenient = await product.client({ skip_consent: true, require_pkce: false });
    browser = await product.signedIn((await product.user()).username);
  });
  afterAll(() => product[Symbol.asyncDispose]());

  const outcome = ({ status, json }: Answer) => [status, json.error];
  const errorOf = async (by: Client, ask: Fields) =>
    (await browser.ask(by, ask)).answer.location?.searchParams.get('error');

  test('code_challenge is required of confidential and of public clients (OAuth 2.1 section 7.5.2)', async () => {
    expect(await errorOf(client, WITHOUT)).toBe('invalid_request');
    expect(await errorOf(open, WITHOUT)).toBe('invalid_request');
    expect(await errorOf(client, { code_challenge: '' })).toBe('invalid_request');
  });

  test.each(['plain', 's256', 'S512', '', undefined])(
    'the only code_challenge_method is S256: %j is refused, absence means plain (section 4.3)',
    async (code_challenge_method) => {
      for (const by of [client, open, lenient])
        expect(await errorOf(by, { code_challenge_method })).toBe('invalid_request');
    },
  );

  const challenge = challengeOf(newVerifier());
  test.each([
    ['too short', challenge.slice(1)],
    ['too long', `${challenge}A`],
    ['padded', `${challenge}=`],
    ['base64, not base64url', `+/${challenge.slice(2)}`],
    ['hexadecimal', createHash('sha256').update('x').digest('hex')],
  ])('a code_challenge that is %s is refused (section 4.2)', async (_, code_challenge) => {
    for (const by of [client, lenient]) expect(await errorOf(by, { code_challenge })).toBe('invalid_request');
  });

  test('the verifier of appendix B fits its challenge', async () => {
    const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
    const { code } = await browser.authorize(client, {
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    });
    expect((await product.redeem(client, { code, verifier })).status).toBe(200);
  });

  test.each([43, 128])(
    'a verifier may have %i characters of all unreserved kinds (section 4.1)',
    async (length) => {
      const verifier = 'aZ0-._~'.repeat(20).slice(0, length);
      const { code } = await browser.authorize(client, { code_challenge: challengeOf(verifier) });
      expect((await product.redeem(client, { code, verifier })).status).toBe(200);
    },
  );

  test.each([
    ['42 characters', 'v'.repeat(42)],
    ['129 characters', 'v'.repeat(129)],
    ['a character that is not unreserved', `${'v'.repeat(43)}+`],
    ['an umlaut', `${'v'.repeat(43)}ü`],
    ['a line end', `${'v'.repeat(43)}\n`],
  ])(
    'a verifier of %s is invalid_request even where it fits the challenge (section 4.1)',
    async (_, verifier) => {
      const { code } = await browser.authorize(client, { code_challenge: challengeOf(verifier) });
      expect(outcome(await product.redeem(client, { code, verifier }))).toEqual([400, 'invalid_request']);
    },
  );

  test('a verifier that does not fit is invalid_grant (section 4.6), the challenge itself above all', async () => {
    const { code, verifier } = await browser.authorize(client);
    for (const wrong of [newVerifier(), challengeOf(verifier), verifier.toUpperCase(), `${verifier}A`])
      expect(outcome(await product.redeem(client, { code, verifier: wrong }))).toEqual([
        400,
        'invalid_grant',
      ]);
    expect((await product.redeem(client, { code, verifier })).status).toBe(200);
  });

  test('no verifier for a challenge is refused, of confidential clients too (RFC 9700 section 2.1.1)', async () => {
    for (const by of [client, open, lenient]) {
      const flow = await browser.authorize(by);
      const answer = await product.redeem(by, flow, { code_verifier: undefined });
      expect(outcome(answer)).toEqual([400, 'invalid_request']);
    }
  });

  test('a public client cannot be freed of PKCE (RFC 9700 section 2.1.1)', async () => {
    const metadata = { token_endpoint_auth_method: 'none', require_pkce: false };
    await expect(product.client(metadata)).rejects.toThrow(/require_pkce/);
  });

  test('a client that an administrator freed of PKCE must send a nonce instead (RFC 9700 section 2.1.1)', async () => {
    expect(await errorOf(lenient, { ...WITHOUT, nonce: undefined })).toBe('invalid_request');
    expect(await errorOf(lenient, { ...WITHOUT, nonce: '' })).toBe('invalid_request');
    const { code } = await browser.authorize(lenient, WITHOUT);
    const answer = await product.redeem(lenient, { code, verifier: '' });
    expect(answer.status).toBe(200);
  });

  test('the nonce must come back in an ID token: without PKCE the scope openid is required', async () => {
    await product.resource('https://api.example/', ['read']);
    expect(await errorOf(lenient, { ...WITHOUT, scope: 'read' })).toBe('invalid_request');
    expect(await errorOf(lenient, { ...WITHOUT, scope: 'openid read' })).toBeNull();
    expect(await errorOf(lenient, { scope: 'read' })).toBeNull();
  });

  test('without PKCE redirect_uri is required at the token endpoint (RFC 6749 section 4.1.3)', async () => {
    const { code } = await browser.authorize(lenient, WITHOUT);
    const without = await product.redeem(lenient, { code, verifier: '' }, { redirect_uri: undefined });
    expect(outcome(without)).toEqual([400, 'invalid_grant']);
    expect((await product.redeem(lenient, { code, verifier: '' })).status).toBe(200);
  });

  test('such a client may use PKCE all the same, and then needs no nonce', async () => {
    const flow = await browser.authorize(lenient, { nonce: undefined });
    expect(outcome(await product.redeem(lenient, { ...flow, verifier: newVerifier() }))).toEqual([
      400,
      'invalid_grant',
    ]);
    expect((await product.redeem(lenient, flow)).status).toBe(200);
  });

  test('a verifier where no challenge was sent is a downgrade, and refused (RFC 9700 section 4.8.2)', async () => {
    const { code, verifier } = await browser.authorize(lenient, WITHOUT);
    expect(outcome(await product.redeem(lenient, { code, verifier }))).toEqual([400, 'invalid_grant']);
    expect((await product.redeem(lenient, { code, verifier: '' })).status).toBe(200);
  });
});
