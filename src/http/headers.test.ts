import { describe, expect, it } from 'vitest';
import { corsHeaders, preflightHeaders } from './cors.ts';
import { defaultHeaders, pageCsp } from './headers.ts';

describe('default headers', () => {
  it('close every door on data', () => {
    expect(defaultHeaders({ kind: 'oauth' }, true)).toEqual({
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      pragma: 'no-cache',
      'strict-transport-security': 'max-age=31536000',
    });
  });

  it('promise https only where there is https, and keep a route cacheable that says so', () => {
    const headers = defaultHeaders({ kind: 'oauth', cache: 'public, max-age=300' }, false);
    expect(headers).not.toHaveProperty('strict-transport-security');
    expect(headers).not.toHaveProperty('pragma');
    expect(headers['cache-control']).toBe('public, max-age=300');
  });

  it.each([
    ['https://app.example/cb?x=1', "'self' https://app.example"],
    ['http://127.0.0.1:8123/cb', "'self' http://127.0.0.1:8123"],
    ['http://[::1]:8123/cb', "'self' http:"],
    ['com.example.app:/cb', "'self' com.example.app:"],
    ["https://a.example/; script-src 'unsafe-inline'", "'self' https://a.example"],
    ['no uri', "'self'"],
  ])('let a form end at %s', (redirectUri, sources) => {
    const formAction = pageCsp({ redirectUri })
      .split('; ')
      .find((directive) => directive.startsWith('form-action'));
    expect(formAction).toBe(`form-action ${sources}`);
  });

  it('let pages have our style, pictures and nothing else', () => {
    expect(pageCsp()).toBe(
      "default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
  });
});

describe('cors', () => {
  it('names an origin only when it is allowed, and never allows credentials', () => {
    const allowed = corsHeaders('https://app.example', ['https://app.example']);
    expect(allowed).toEqual({
      vary: 'origin',
      'access-control-allow-origin': 'https://app.example',
      'access-control-expose-headers': 'dpop-nonce, www-authenticate',
    });
    expect(corsHeaders('https://evil.example', ['https://app.example'])).toEqual({ vary: 'origin' });
    expect(corsHeaders(undefined, ['https://app.example'])).toEqual({ vary: 'origin' });
    expect(corsHeaders('https://any.example', ['*'])['access-control-allow-origin']).toBe('*');
  });

  it('tells a preflight what may be sent', () => {
    expect(preflightHeaders(['GET', 'POST'])).toEqual({
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers': 'authorization, content-type, dpop, mcp-protocol-version',
      'access-control-max-age': '7200',
    });
  });
});
