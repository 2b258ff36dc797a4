import { describe, expect, it } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import { browserNonce, checkCsrf, csrfToken } from './csrf.ts';
import type { Incoming } from './exchange.ts';
import { noParams, Params } from './params.ts';

function incoming(cookie: string | undefined, csrf?: string): Incoming {
  return {
    id: 'r-1',
    method: 'POST',
    path: '/signin',
    params: {},
    query: noParams,
    form: csrf === undefined ? noParams : new Params([['csrf', csrf]]),
    json: undefined,
    headers: {},
    cookies: new Map(cookie === undefined ? [] : [['browser', cookie]]),
    source: '127.0.0.1',
    via: 'inject',
  };
}

function codeOf(request: Incoming, purpose: string): string {
  try {
    checkCsrf(request, purpose);
    return 'accepted';
  } catch (error) {
    return error instanceof Failure ? error.code : 'not a Failure';
  }
}

describe('csrf', () => {
  it('gives a browser one unguessable nonce and keeps it', () => {
    const first = browserNonce(incoming(undefined), systemRandom);
    expect(first.cookie).toEqual({ name: 'browser', value: first.nonce, sameSite: 'lax' });
    expect(browserNonce(incoming(first.nonce), systemRandom)).toEqual({ nonce: first.nonce });
    expect(browserNonce(incoming(undefined), systemRandom).nonce).not.toBe(first.nonce);
  });

  it('replaces a cookie that it cannot have made', () => {
    expect(browserNonce(incoming('short'), systemRandom).cookie).toBeDefined();
    expect(codeOf(incoming('short', csrfToken('short', 'signin')), 'signin')).toBe('forbidden');
  });

  it('accepts the form it gave to this browser for this purpose, and no other', () => {
    const { nonce } = browserNonce(incoming(undefined), systemRandom);
    const other = browserNonce(incoming(undefined), systemRandom).nonce;
    const token = csrfToken(nonce, 'signin');
    expect(codeOf(incoming(nonce, token), 'signin')).toBe('accepted');
    expect(codeOf(incoming(nonce, token), 'consent')).toBe('forbidden');
    expect(codeOf(incoming(other, token), 'signin')).toBe('forbidden');
    expect(codeOf(incoming(nonce), 'signin')).toBe('forbidden');
    expect(codeOf(incoming(undefined, token), 'signin')).toBe('forbidden');
  });
});
