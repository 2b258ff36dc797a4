import { describe, expect, it } from 'vitest';
import { html, json, redirect } from './exchange.ts';
import { RateLimiter } from './limits.ts';
import { mount } from './mount.ts';
import { FORM, recorder, route, serve, throwing } from './serve.test-kit.ts';

describe('a mounted route', () => {
  it('gets the request as a value', async () => {
    const { app } = serve(
      [
        route({
          method: 'POST',
          path: '/things/:id',
          body: 'form',
          handle: (request) =>
            json(200, {
              method: request.method,
              path: request.path,
              id: request.params['id'],
              q: request.query.get('q'),
              values: request.form.all('v'),
              agent: request.headers['x-agent'],
              cookie: request.cookies.get('session'),
              source: request.source,
              via: request.via,
              json: request.json,
            }),
        }),
      ],
      { prefix: '/auth' },
    );
    const response = await app.inject({
      method: 'POST',
      url: '/auth/things/a%2Fb%20c?q=%C3%A9+1',
      headers: { 'content-type': `${FORM}; charset=UTF-8`, 'x-agent': 'me', cookie: 'authserver_session=s' },
      payload: 'v=1&v=2',
    });
    expect(response.json()).toEqual({
      method: 'POST',
      path: '/auth/things/a%2Fb%20c',
      id: 'a/b c',
      q: 'é 1',
      values: ['1', '2'],
      agent: 'me',
      cookie: 's',
      source: '127.0.0.1',
      via: 'inject',
    });
  });

  it('gets JSON, and undefined where none was sent', async () => {
    const { app } = serve([
      route({
        method: 'PUT',
        body: 'json',
        handle: ({ json: value }) => json(200, { value: value ?? 'none' }),
      }),
    ]);
    const put = (payload?: string, type = 'application/json') =>
      app.inject({ method: 'PUT', url: '/x', headers: { 'content-type': type }, payload });
    expect((await put('{"a":[1]}')).json()).toEqual({ value: { a: [1] } });
    expect((await put('[]', 'application/merge-patch+json')).json()).toEqual({ value: [] });
    expect((await put()).json()).toEqual({ value: 'none' });
    expect((await put('{"a":')).json()).toMatchObject({ status: 400, detail: 'The body is not JSON.' });
    expect((await put('"\\u0000"')).statusCode).toBe(400);
  });

  it('answers with exactly its status, headers, cookies and body', async () => {
    const { app } = serve([
      route({
        path: '/json',
        handle: () => json(201, { ok: true }, { 'Cache-Control': 'max-age=1', ETag: 'e' }),
      }),
      route({
        method: 'POST',
        path: '/post',
        kind: 'page',
        body: 'form',
        handle: () =>
          redirect('/next', [
            { name: 'a', value: '1' },
            { name: 'b', value: '2', maxAge: 0 },
          ]),
      }),
    ]);
    const answer = await app.inject('/json');
    expect(answer.statusCode).toBe(201);
    expect(answer.body).toBe('{"ok":true}');
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': '11',
      'cache-control': 'max-age=1',
      etag: 'e',
    });
    const post = await app.inject({ method: 'POST', url: '/post' });
    expect(post.statusCode).toBe(303);
    expect(post.headers.location).toBe('/next');
    expect(post.headers['set-cookie']).toHaveLength(2);
  });

  it('answers HEAD like GET, without the body', async () => {
    const { app } = serve([route({ handle: () => json(200, { ok: true }) })]);
    const head = await app.inject({ method: 'HEAD', url: '/x' });
    expect(head.statusCode).toBe(200);
    expect(head.headers['content-length']).toBe('11');
    expect(head.body).toBe('');
  });

  it('keeps its own content-security-policy', async () => {
    const policy = "default-src 'none'";
    const { app } = serve([
      route({
        kind: 'page',
        handle: () => ({ ...html(200, ''), headers: { 'Content-Security-Policy': policy } }),
      }),
    ]);
    expect((await app.inject('/x')).headers['content-security-policy']).toBe(policy);
  });

  it('lives at the issuer path with and without a slash when it is the home page', async () => {
    const { app } = serve([route({ path: '/', handle: () => json(200, {}) })], { prefix: '/auth' });
    expect((await app.inject('/auth')).statusCode).toBe(200);
    expect((await app.inject('/auth/')).statusCode).toBe(200);
    expect((await app.inject('/')).statusCode).toBe(404);
  });

  it('is counted by the limiter', async () => {
    const limiter = new RateLimiter({ requestsPerSecond: 0.1, burst: 1 }, { now: () => 0 });
    const { app } = serve([route({ kind: 'oauth', handle: () => json(200, {}) })], { limiter });
    expect((await app.inject('/x')).statusCode).toBe(200);
    const refused = await app.inject('/x');
    expect(refused.statusCode).toBe(429);
    expect(refused.headers['retry-after']).toBe('10');
  });
});

describe('every response', () => {
  const kinds = [
    route({ path: '/oauth', kind: 'oauth', handle: () => json(200, {}) }),
    route({ path: '/page', kind: 'page', handle: () => html(200, '') }),
    route({ path: '/api', kind: 'api', handle: () => json(200, {}) }),
    throwing('api', new Error('x')),
  ];

  it('carries the security headers and no-store, errors too', async () => {
    const { app } = serve(kinds, { secure: true });
    const targets: [string, number][] = [
      ['/oauth', 200],
      ['/page', 200],
      ['/api', 200],
      ['/x', 500],
      ['/nowhere', 404],
      ['/%zz', 400],
    ];
    for (const [url, status] of targets) {
      const { headers, statusCode } = await app.inject(url);
      expect([url, statusCode]).toEqual([url, status]);
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'strict-transport-security': 'max-age=31536000',
      });
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    }
  });

  it('is silent about the Host header', async () => {
    const { app } = serve(kinds);
    for (const url of ['/oauth', '/page', '/api', '/x', '/nowhere', '/%zz', 'http://evil.example/api']) {
      const response = await app.inject({
        url,
        headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example' },
      });
      expect(JSON.stringify([response.headers, response.body])).not.toContain('evil.example');
    }
  });
});

describe('two mounts of one app', () => {
  it('share the answers for what neither of them has', async () => {
    const { app } = serve([route({ path: '/a', handle: () => json(200, { at: 'issuer' }) })], {
      prefix: '/auth',
    });
    const health = [route({ path: '/livez', handle: () => json(200, { at: 'root' }) })];
    mount(app, health, { log: recorder().log, secure: false, prefix: '', via: 'inject', allowedOrigins: [] });
    expect((await app.inject('/auth/a')).json()).toEqual({ at: 'issuer' });
    expect((await app.inject('/livez')).json()).toEqual({ at: 'root' });
    expect((await app.inject('/auth/livez')).statusCode).toBe(404);
  });
});
