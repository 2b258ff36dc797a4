import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cookieName, parseCookies, serializeCookie } from './cookies.ts';

const name = fc.stringMatching(/^[a-z][a-z_-]{0,15}$/);
const value = fc.stringMatching(/^[A-Za-z0-9_.~=/+-]{0,50}$/);

describe('cookies', () => {
  it('come back as they were set, under the name without prefix', () => {
    fc.assert(
      fc.property(fc.dictionary(name, value), fc.boolean(), (given, secure) => {
        const header = Object.entries(given)
          .map(([key, text]) => serializeCookie({ name: key, value: text }, secure).split(';', 1)[0])
          .join('; ');
        expect(new Map(Object.entries(given))).toEqual(parseCookies(header, secure));
      }),
    );
  });

  it('are read from any header without throwing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (header, secure) => {
        for (const key of parseCookies(header, secure).keys()) {
          expect(header).toContain(`${cookieName(key, secure)}=`);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('count only with the prefix of the scheme in use', () => {
    const header = 'authserver_session=planted; __Host-authserver_session=ours; session=other';
    expect([...parseCookies(header, true)]).toEqual([['session', 'ours']]);
    expect([...parseCookies(header, false)]).toEqual([['session', 'planted']]);
  });

  it('keep the first of two equal names', () => {
    expect(parseCookies('authserver_a=1; authserver_a=2', false).get('a')).toBe('1');
  });

  it('are HttpOnly, for the whole site, and Secure on https', () => {
    expect(serializeCookie({ name: 'session', value: 'v', maxAge: 60, sameSite: 'strict' }, true)).toBe(
      '__Host-authserver_session=v; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=60',
    );
    expect(serializeCookie({ name: 'session', value: '', maxAge: 0 }, false)).toBe(
      'authserver_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
    );
  });

  it('ask for SameSite=None only where browsers accept it', () => {
    expect(serializeCookie({ name: 'a', value: 'b', sameSite: 'none' }, true)).toContain('SameSite=None');
    expect(serializeCookie({ name: 'a', value: 'b', sameSite: 'none' }, false)).toContain('SameSite=Lax');
  });

  it.each([
    ['a;b', 'v'],
    ['', 'v'],
    ['a', 'v; Domain=evil'],
    ['a', 'v\r\nSet-Cookie: x=y'],
    ['a', 'ü'],
  ])('never let %j=%j out', (key, text) => {
    expect(() => serializeCookie({ name: key, value: text }, true)).toThrow(TypeError);
  });
});
