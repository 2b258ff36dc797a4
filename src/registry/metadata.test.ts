import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OAuthError } from '../http/oauth-error.ts';
import { checkMetadata, type MetadataPolicy, showMetadata } from './metadata.ts';

const grantTypes = ['authorization_code', 'refresh_token', 'client_credentials'] as const;
const administrator: MetadataPolicy = { by: 'administrator', grantTypes };
const client: MetadataPolicy = { by: 'client', grantTypes };

const web = { redirect_uris: ['https://app.example/cb'] };
const service = {
  application_type: 'service',
  grant_types: ['client_credentials'],
  token_endpoint_auth_method: 'client_secret_basic',
};
const ecKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicJwk = ecKey().publicKey.export({ format: 'jwk' });
const privateJwk = ecKey().privateKey.export({ format: 'jwk' });
const weakRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });

function refusal(input: unknown, policy: MetadataPolicy): OAuthError {
  try {
    checkMetadata(input, policy);
  } catch (error) {
    if (error instanceof OAuthError) return error;
    throw error;
  }
  throw new Error(`was accepted: ${JSON.stringify(input)}`);
}

describe('defaults (RFC 7591 section 2)', () => {
  test.each([administrator, client])('are those of the RFC, for $by', (policy) => {
    expect(checkMetadata(web, policy)).toMatchObject({
      application_type: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      require_pkce: true,
      skip_consent: false,
    });
  });

  test('null means absent', () => {
    expect(checkMetadata({ ...web, client_name: null, jwks: null, scope: null }, client)).toEqual(
      checkMetadata(web, client),
    );
  });

  test('a client without the code grant has no response types', () => {
    expect(checkMetadata(service, administrator).response_types).toEqual([]);
  });
});

describe('what a client says of itself', () => {
  test('members that only an administrator may set, and unknown ones, are ignored', () => {
    const own = { require_pkce: false, skip_consent: true, audiences: ['https://api.example'] };
    const metadata = checkMetadata({ ...web, ...own, access_token_lifetime: 1e9, software_id: 'x' }, client);
    expect(metadata).toEqual(checkMetadata(web, client));
  });

  test('grants that the server does not offer are left out of the answer (section 3.2.1)', () => {
    const asked = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'];
    const metadata = checkMetadata(
      { ...web, grant_types: asked, response_types: ['code', 'id_token'] },
      client,
    );
    expect(metadata.grant_types).toEqual(['authorization_code', 'refresh_token']);
    expect(metadata.response_types).toEqual(['code']);
    expect(refusal({ ...web, grant_types: ['implicit'] }, client).message).toContain('grant_types');
  });

  test('a service is for administrators to make', () => {
    expect(refusal(service, client).message).toContain('application_type must be one of web, native');
  });
});

describe('what an administrator enters', () => {
  test('an unknown member is refused with the one that was meant', () => {
    const { error, message } = refusal({ ...web, redirect_url: 'https://app.example' }, administrator);
    expect(error).toBe('invalid_client_metadata');
    expect(message).toContain('redirect_url is not known (did you mean redirect_uris?)');
  });

  test('every fault is named at once', () => {
    const { message } = refusal(
      { client_name: 7, scope: 'a  b', require_pkce: 'no', grant_types: [] },
      administrator,
    );
    for (const member of ['client_name', 'scope', 'require_pkce', 'grant_types'])
      expect(message).toContain(member);
  });

  test('lifetimes are seconds outside and milliseconds inside', () => {
    const metadata = checkMetadata({ ...web, access_token_lifetime: 300 }, administrator);
    expect(metadata.access_token_lifetime).toBe(300_000);
    expect(showMetadata(metadata, 'administrator')).toMatchObject({ access_token_lifetime: 300 });
    expect(showMetadata(metadata, 'client')).not.toHaveProperty('access_token_lifetime');
  });

  test.each([
    ['the code grant without redirect URIs', {}, 'redirect_uris'],
    ['code without its grant', { ...service, response_types: ['code'] }, 'response_types'],
    ['the code grant without code', { ...web, response_types: [] }, 'response_types'],
    ['an implicit response type', { ...web, response_types: ['code', 'token'] }, 'response_types'],
    [
      'refresh tokens without the code grant',
      { ...service, grant_types: ['client_credentials', 'refresh_token'] },
      'grant_types',
    ],
    ['an unknown grant', { ...web, grant_types: ['authorization_code', 'password'] }, 'grant_types'],
    ['a service that people sign in to', { ...web, application_type: 'service' }, 'grant_types'],
    [
      'client credentials of a public client',
      { ...service, token_endpoint_auth_method: 'none' },
      'token_endpoint_auth_method',
    ],
    [
      'a public client without PKCE',
      { ...web, token_endpoint_auth_method: 'none', require_pkce: false },
      'require_pkce',
    ],
    ['private_key_jwt without keys', { ...web, token_endpoint_auth_method: 'private_key_jwt' }, 'jwks'],
    ['keys elsewhere', { ...web, jwks_uri: 'https://app.example/jwks' }, 'jwks_uri is not supported'],
    [
      'a sliding lifetime past the absolute',
      { ...web, refresh_token_lifetime: 20, refresh_token_absolute_lifetime: 10 },
      'refresh_token_lifetime',
    ],
    ['a lifetime of none', { ...web, access_token_lifetime: 0 }, 'access_token_lifetime'],
    ['an audience that is no URI', { ...web, audiences: ['api'] }, 'audiences[0]'],
    ['a script for a logo', { ...web, logo_uri: 'javascript:alert(1)' }, 'logo_uri'],
    ['a home page without TLS', { ...web, client_uri: 'http://app.example' }, 'client_uri'],
    ['a name with control characters', { ...web, client_name: 'App\u0007' }, 'client_name'],
    ['a name that turns the text round', { ...web, client_name: 'App\u202Egpj' }, 'client_name'],
    ['a name that nobody sees', { ...web, client_name: ' \u00a0' }, 'client_name'],
    ['a name of combining marks alone', { ...web, client_name: '\u0301\u0301' }, 'client_name'],
    ['a name with a zero-width space', { ...web, client_name: 'Bank\u200bApp' }, 'client_name'],
    ['a name with a word joiner', { ...web, client_name: 'Bank\u2060App' }, 'client_name'],
    ['a name with a soft hyphen', { ...web, client_name: 'Bank\u00adApp' }, 'client_name'],
    ['a name with a filler that looks like a space', { ...web, client_name: 'Bank\u3164App' }, 'client_name'],
    ['a name with a byte order mark', { ...web, client_name: '\ufeffBank' }, 'client_name'],
    ['a name with two lines', { ...web, client_name: 'Bank\u2028App' }, 'client_name'],
    ['a name with tag characters', { ...web, client_name: 'Bank\u{e0041}' }, 'client_name'],
    ['letters joined by nothing visible', { ...web, client_name: 'Ban\u200dk' }, 'client_name'],
    ['an emoji joined to nothing', { ...web, client_name: '\u{1f469}\u200d' }, 'client_name'],
    ['a long name', { ...web, client_name: 'a'.repeat(201) }, 'client_name must have at most 200 characters'],
    [
      'a sign-out address without TLS',
      { ...web, post_logout_redirect_uris: ['http://app.example'] },
      'post_logout_redirect_uris[0]',
    ],
  ])('%s is refused', (_, input, member) => {
    expect(refusal(input, administrator).message).toContain(member);
  });

  test.each([
    'X',
    '7',
    'Beispiel-Anwendung',
    '例え',
    'تطبيق',
    '\u{1f469}\u200d\u{1f4bb} Code',
    '❤️',
    '+1',
    '!',
  ])('the name %s is taken', (client_name) => {
    for (const policy of [administrator, client])
      expect(checkMetadata({ ...web, client_name }, policy).name).toBe(client_name);
  });

  test('PKCE may be switched off for a confidential client', () => {
    expect(checkMetadata({ ...web, require_pkce: false }, administrator).require_pkce).toBe(false);
  });
});

test('faults in redirect URIs alone have their own error code (RFC 7591 section 3.2.2)', () => {
  const fragment = { redirect_uris: ['https://app.example/cb', 'https://app.example/cb#'] };
  expect(refusal(fragment, client)).toMatchObject({ error: 'invalid_redirect_uri', status: 400 });
  expect(refusal(fragment, client).message).toBe('redirect_uris[1] must not have a fragment.');
  expect(refusal({ ...fragment, client_name: 1 }, client).error).toBe('invalid_client_metadata');
});

describe('the keys of a client', () => {
  const withKeys = (jwks: unknown) => ({ ...web, token_endpoint_auth_method: 'private_key_jwt', jwks });

  test('public keys are taken', () => {
    const jwks = { keys: [{ ...publicJwk, kid: 'one' }] };
    expect(checkMetadata(withKeys(jwks), client).jwks).toEqual(jwks);
  });

  test.each([
    ['none', { keys: [] }, 'at least one'],
    ['no set', [publicJwk], 'JWK set'],
    ['a private key', { keys: [publicJwk, privateJwk] }, 'keys[1] has the private member d'],
    ['a symmetric key', { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }, 'symmetric'],
    ['a short RSA key', { keys: [weakRsa] }, '2048 bits'],
    ['half a key', { keys: [{ kty: 'EC', crv: 'P-256', x: publicJwk.x }] }, 'not a public key'],
    [
      'two keys of one name',
      {
        keys: [
          { ...publicJwk, kid: 'a' },
          { ...ecKey().publicKey.export({ format: 'jwk' }), kid: 'a' },
        ],
      },
      'one kid',
    ],
    ['too many', { keys: Array.from({ length: 21 }, () => publicJwk) }, 'at most 20'],
  ])('%s are refused', (_, jwks, reason) => {
    expect(refusal(withKeys(jwks), client).message).toContain(reason);
  });
});

test('whatever is accepted can be shown and entered again without a change', () => {
  const input = fc.record(
    {
      redirect_uris: fc.constantFrom(
        ['https://app.example/cb'],
        ['http://127.0.0.1/cb', 'com.example.app:/cb'],
        [],
      ),
      token_endpoint_auth_method: fc.constantFrom(
        'none',
        'client_secret_basic',
        'client_secret_post',
        'private_key_jwt',
      ),
      grant_types: fc.subarray([...grantTypes]),
      response_types: fc.constantFrom(['code'], []),
      application_type: fc.constantFrom('web', 'native', 'service'),
      client_name: fc.string(),
      client_uri: fc.webUrl(),
      contacts: fc.array(fc.emailAddress(), { maxLength: 2 }),
      scope: fc.constantFrom('', 'openid', 'openid profile openid'),
      jwks: fc.constant({ keys: [publicJwk] }),
      require_pkce: fc.boolean(),
      access_token_lifetime: fc.integer({ min: -5, max: 5000 }),
      junk: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(input, fc.constantFrom(administrator, client), (body, policy) => {
      let metadata: ReturnType<typeof checkMetadata>;
      try {
        metadata = checkMetadata(body, policy);
      } catch (error) {
        expect(error).toBeInstanceOf(OAuthError);
        return;
      }
      expect(checkMetadata(showMetadata(metadata, policy.by), policy)).toEqual(metadata);
    }),
    { numRuns: 1000 },
  );
});

test('whatever comes in, the answer is metadata or an OAuth error in plain ASCII (RFC 6749 section 5.2)', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      try {
        checkMetadata(body, client);
      } catch (error) {
        expect(error).toBeInstanceOf(OAuthError);
        expect((error as OAuthError).message).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      }
    }),
    { numRuns: 1000 },
  );
});
