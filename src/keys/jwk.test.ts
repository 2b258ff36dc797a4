import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, test } from 'vitest';
import { type Algorithm, algorithmOf, thumbprint } from './jwk.ts';
import { makeKeyPair, pairOf, readKeyPair, writePem } from './key-pair.ts';

const ALGORITHMS: readonly Algorithm[] = ['ES256', 'EdDSA', 'RS256'];

describe('thumbprint (RFC 7638)', () => {
  test('of the key in RFC 8037 appendix A.3, whatever else the JWK holds', () => {
    const jwk = {
      kid: 'any',
      crv: 'Ed25519',
      x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
      kty: 'OKP',
      d: 'secret',
    };
    expect(thumbprint(jwk)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  test.each(ALGORITHMS)('of %s keys is what jose computes', async (algorithm) => {
    const { jwk, kid } = await makeKeyPair(algorithm);
    expect(kid).toBe(await calculateJwkThumbprint(jwk));
  });

  test('of anything that is no public key is undefined', () => {
    expect(thumbprint({})).toBeUndefined();
    expect(thumbprint({ kty: 'oct' })).toBeUndefined();
    expect(thumbprint({ kty: 'EC', crv: 'P-256', x: 'AA' })).toBeUndefined();
    expect(thumbprint({ kty: 'constructor' })).toBeUndefined();
  });
});

describe('key pairs', () => {
  test.each(ALGORITHMS)('%s survives being written and read', async (algorithm) => {
    const pair = await makeKeyPair(algorithm);
    const again = readKeyPair(writePem(pair));
    expect(again?.jwk).toEqual(pair.jwk);
    expect(again?.algorithm).toBe(algorithm);
  });

  test.each(ALGORITHMS)('the published %s key has public members only', async (algorithm) => {
    const { jwk } = await makeKeyPair(algorithm);
    const members = { ES256: ['crv', 'x', 'y'], EdDSA: ['crv', 'x'], RS256: ['n', 'e'] }[algorithm];
    expect(Object.keys(jwk).sort()).toEqual(['alg', 'kid', 'kty', 'use', ...members].sort());
    expect(jwk).toMatchObject({ alg: algorithm, use: 'sig' });
  });

  test.each<[Algorithm, readonly string[]]>([
    ['ES256', ['x', 'y']],
    ['RS256', ['n']],
  ])(
    '%s whose halves do not belong together is refused: what it signs would never verify',
    async (algorithm, members) => {
      const [one, other] = await Promise.all([makeKeyPair(algorithm), makeKeyPair(algorithm)]);
      const mixed = one.privateKey.export({ format: 'jwk' });
      for (const name of members) mixed[name] = other.privateKey.export({ format: 'jwk' })[name];
      const key = createPrivateKey({ key: mixed, format: 'jwk' });
      expect(pairOf(key)).toBeUndefined();
      expect(readKeyPair(key.export({ type: 'pkcs8', format: 'pem' }).toString())).toBeUndefined();
    },
  );

  test('keys that we cannot sign with are refused', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    expect(algorithmOf(p384.publicKey)).toBeUndefined();
    expect(algorithmOf(weak.publicKey)).toBeUndefined();
    expect(readKeyPair(weak.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())).toBeUndefined();
    expect(readKeyPair('')).toBeUndefined();
    expect(readKeyPair('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')).toBeUndefined();
    const publicPem = createPublicKey(p384.privateKey).export({ type: 'spki', format: 'pem' }).toString();
    expect(readKeyPair(publicPem)).toBeUndefined();
  });
});
