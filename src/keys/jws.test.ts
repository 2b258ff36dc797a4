import { createHash, createHmac, createPublicKey, sign as cryptoSign } from 'node:crypto';
import fc from 'fast-check';
import { compactVerify, importJWK } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Algorithm } from './jwk.ts';
import { derToRaw, JwsSigner, localSignature, parseJws, verifySignature } from './jws.ts';
import { type KeyPair, makeKeyPair } from './key-pair.ts';

const ALGORITHMS: readonly Algorithm[] = ['ES256', 'EdDSA', 'RS256'];
const pairs = new Map<Algorithm, KeyPair>();

beforeAll(async () => {
  for (const algorithm of ALGORITHMS) pairs.set(algorithm, await makeKeyPair(algorithm));
});

function pairFor(algorithm: Algorithm): KeyPair {
  return pairs.get(algorithm)!;
}

function sign(algorithm: Algorithm, claims: object, typ = 'at+jwt'): Promise<string> {
  const { kid, privateKey } = pairFor(algorithm);
  return new JwsSigner(kid, algorithm, localSignature(algorithm, privateKey)).sign(typ, claims);
}

async function accepted(jwt: string, algorithm: Algorithm): Promise<boolean> {
  const jws = parseJws(jwt);
  return jws !== undefined && verifySignature(jws, algorithm, createPublicKey(pairFor(algorithm).privateKey));
}

const part = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const compact = (header: unknown, claims: unknown = {}, signature = 'AAAA') =>
  `${part(header)}.${part(claims)}.${signature}`;

describe('signing', () => {
  test.each(ALGORITHMS)('jose verifies %s', async (algorithm) => {
    const jwt = await sign(algorithm, { sub: 'ünïcödé \u{1f511}', n: 1 });
    const { protectedHeader, payload } = await compactVerify(
      jwt,
      await importJWK(pairFor(algorithm).jwk, algorithm),
    );
    expect(protectedHeader).toEqual({ alg: algorithm, typ: 'at+jwt', kid: pairFor(algorithm).kid });
    expect(JSON.parse(new TextDecoder().decode(payload))).toEqual({ sub: 'ünïcödé \u{1f511}', n: 1 });
    expect(await accepted(jwt, algorithm)).toBe(true);
  });

  test('one signer keeps the headers of its kinds of token apart', async () => {
    const { kid, privateKey } = pairFor('ES256');
    const signer = new JwsSigner(kid, 'ES256', localSignature('ES256', privateKey));
    const types = ['at+jwt', 'JWT', 'at+jwt'];
    const tokens = await Promise.all(types.map((typ) => signer.sign(typ, {})));
    expect(tokens.map((jwt) => parseJws(jwt)?.header.typ)).toEqual(types);
  });

  test('every ECDSA signature comes out as r||s, short integers too', async () => {
    const { privateKey } = pairFor('ES256');
    const publicKey = createPublicKey(privateKey);
    // One in 128 has an r or s with a leading zero byte that DER drops.
    for (let i = 0; i < 1000; i++) {
      const signingInput = `a.${i}`;
      const signature = derToRaw(cryptoSign('sha256', Buffer.from(signingInput), privateKey));
      const jws = { header: { alg: 'ES256', kid: '', typ: '' }, claims: {}, signingInput, signature };
      expect(await verifySignature(jws, 'ES256', publicKey)).toBe(true);
    }
  });

  test('DER integers of any length', () => {
    const integer = (digits: Buffer) => Buffer.concat([Buffer.from([0x02, digits.length]), digits]);
    const minimal = (value: Buffer) => {
      const start = Math.min(value.findIndex((byte) => byte !== 0) >>> 0, value.length - 1);
      const digits = value.subarray(start);
      return (digits[0]! & 0x80) !== 0 ? Buffer.concat([Buffer.alloc(1), digits]) : digits;
    };
    const coordinate = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .chain((bytes) => fc.nat(31).map((zeros) => Buffer.from(bytes).fill(0, 0, zeros)));
    fc.assert(
      fc.property(coordinate, coordinate, (r, s) => {
        const body = Buffer.concat([integer(minimal(r)), integer(minimal(s))]);
        const der = Buffer.concat([Buffer.from([0x30, body.length]), body]);
        expect(derToRaw(der)).toEqual(Buffer.concat([r, s]));
      }),
    );
  });
});

describe('parsing', () => {
  test('takes apart what was signed, whatever the claims', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (claims) => {
        const jwt = await sign('EdDSA', claims);
        expect(JSON.stringify(parseJws(jwt)?.claims)).toBe(
          JSON.stringify(JSON.parse(JSON.stringify(claims))),
        );
        expect(await accepted(jwt, 'EdDSA')).toBe(true);
      }),
    );
  });

  test('never throws, whatever the text', () => {
    const characters = fc.constantFrom(...'ABCabc019-_.=+/ {}"\n\0é');
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: characters }),
      fc.array(fc.string({ unit: 'binary' }).map(part), { maxLength: 5 }).map((parts) => parts.join('.')),
      fc.array(fc.json().map(part), { minLength: 3, maxLength: 3 }).map((parts) => parts.join('.')),
    );
    fc.assert(
      fc.property(anything, (text) => {
        expect(() => parseJws(text)).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });

  test('a token cut short or drawn out anywhere is refused', async () => {
    const jwt = await sign('ES256', { sub: 'u' });
    for (let length = 0; length < jwt.length; length++)
      expect(await accepted(jwt.slice(0, length), 'ES256')).toBe(false);
    for (const more of ['A', 'AA', '=', '.', '.AAAA', ' ', '\n'])
      expect(await accepted(jwt + more, 'ES256')).toBe(false);
    expect(await accepted(` ${jwt}`, 'ES256')).toBe(false);
  });

  test('a token with any character changed is refused', async () => {
    const jwt = await sign('EdDSA', { sub: 'user', scope: 'openid' });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(jwt.length - 1),
        fc.constantFrom(...'ABCxyz019-_.=+ '),
        async (at, character) => {
          fc.pre(jwt[at] !== character);
          expect(await accepted(jwt.slice(0, at) + character + jwt.slice(at + 1), 'EdDSA')).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  const header = { alg: 'ES256', kid: 'k', typ: 'JWT' };
  test.each([
    ['a critical extension', compact({ ...header, crit: ['exp'], exp: 1 })],
    ['an empty crit', compact({ ...header, crit: [] })],
    ['no kid', compact({ alg: 'ES256', typ: 'JWT' })],
    ['a kid that is no string', compact({ ...header, kid: 1 })],
    ['no typ', compact({ alg: 'ES256', kid: 'k' })],
    ['a typ that is no string', compact({ ...header, typ: ['JWT'] })],
    ['an alg that is no string', compact({ ...header, alg: null })],
    ['inherited members only', compact('{"__proto__":{"alg":"ES256","kid":"k","typ":"JWT"}}')],
    ['a header that is an array', compact([header])],
    ['a header that is no JSON', compact('{')],
    ['claims that are no object', compact(header, 'null')],
    [
      'claims that are not UTF-8',
      `${part(header)}.${Buffer.from([0x22, 0xff, 0x22]).toString('base64url')}.AAAA`,
    ],
    ['padding', `${part(header)}=.${part({})}.AAAA`],
    ['unused bits that are set', compact(header, {}, 'AB')],
    ['no signature', `${part(header)}.${part({})}.`],
    ['two parts', `${part(header)}.${part({})}`],
    ['four parts', `${compact(header)}.AAAA`],
    ['five parts, an encrypted token', `${compact(header)}.AAAA.AAAA`],
    [
      'the JSON serialization',
      JSON.stringify({ payload: part({}), protected: part(header), signature: 'AAAA' }),
    ],
  ])('refuses %s', (_, text) => {
    expect(parseJws(text)).toBeUndefined();
  });

  test('accepts the form that all of these break', () => {
    expect(parseJws(compact(header))).toBeDefined();
  });

  test('claims nested as deep as a request can be do not throw', () => {
    expect(() => parseJws(compact(header, '['.repeat(500_000)))).not.toThrow();
    expect(() =>
      parseJws(compact(header, `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`)),
    ).not.toThrow();
  });
});

describe('algorithm confusion', () => {
  test.each(ALGORITHMS)('what %s signed is not accepted under another name', async (algorithm) => {
    const jwt = await sign(algorithm, { sub: 'u' });
    const [, claims, signature] = jwt.split('.');
    for (const alg of [
      'none',
      'None',
      '',
      'HS256',
      'ES384',
      'PS256',
      ...ALGORITHMS.filter((other) => other !== algorithm),
    ]) {
      const renamed = `${part({ alg, kid: pairFor(algorithm).kid, typ: 'at+jwt' })}.${claims}.${signature}`;
      expect(await accepted(renamed, algorithm)).toBe(false);
    }
  });

  test.each(ALGORITHMS)(
    'a header that lies about %s is refused, though the signature is right',
    async (algorithm) => {
      const { kid, privateKey } = pairFor(algorithm);
      for (const alg of ['none', 'HS256', 'PS256', ...ALGORITHMS.filter((other) => other !== algorithm)]) {
        const input = `${part({ alg, kid, typ: 'at+jwt' })}.${part({ sub: 'u' })}`;
        const signature = await localSignature(algorithm, privateKey)(Buffer.from(input));
        expect(await accepted(`${input}.${signature.toString('base64url')}`, algorithm)).toBe(false);
      }
    },
  );

  test('a MAC keyed with the public key is not accepted', async () => {
    const { jwk, kid, privateKey } = pairFor('RS256');
    const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
    for (const alg of ['HS256', 'RS256']) {
      for (const key of [spki, JSON.stringify(jwk), jwk.n!]) {
        const input = `${part({ alg, kid, typ: 'at+jwt' })}.${part({ sub: 'admin' })}`;
        const mac = createHmac('sha256', key).update(input).digest('base64url');
        expect(await accepted(`${input}.${mac}`, 'RS256')).toBe(false);
      }
    }
  });

  test.each(ALGORITHMS)(
    'signatures that are no %s signatures are refused, and never throw',
    async (algorithm) => {
      const input = `${part({ alg: algorithm, kid: pairFor(algorithm).kid, typ: 'at+jwt' })}.${part({})}`;
      const lengths = [1, 32, 63, 64, 65, 72, 256, 512];
      const signatures = [
        ...lengths.flatMap((length) => [Buffer.alloc(length), Buffer.alloc(length, 0xff)]),
        createHash('sha512').update(input).digest(),
      ];
      for (const signature of signatures) {
        expect(await accepted(`${input}.${signature.toString('base64url')}`, algorithm)).toBe(false);
      }
    },
  );

  test('an ES256 signature in DER is refused', async () => {
    const input = `${part({ alg: 'ES256', kid: pairFor('ES256').kid, typ: 'at+jwt' })}.${part({})}`;
    const der = cryptoSign('sha256', Buffer.from(input), pairFor('ES256').privateKey);
    expect(await accepted(`${input}.${der.toString('base64url')}`, 'ES256')).toBe(false);
  });
});
