import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { json, type Route } from './exchange.ts';
import { OAuthError } from './oauth-error.ts';
import { BODY_LIMIT, FORM, route, serve, throwing } from './serve.test-kit.ts';

describe('an error', () => {
  it('of OAuth has exactly error and error_description, its status and headers', async () => {
    const error = new OAuthError('invalid_client', 'No "such" client\n.', {
      headers: { 'WWW-Authenticate': 'Basic realm="authserver"' },
      detail: 'secret detail',
      hint: 'Register first.',
    });
    const { app, lines } = serve([throwing('oauth', error)]);
    const response = await app.inject('/x');
    expect(response.statusCode).toBe(401);
    expect(response.body).toBe(
      '{"error":"invalid_client","error_description":"No \'such\' client?. Register first."}',
    );
    expect(response.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      pragma: 'no-cache',
      'www-authenticate': 'Basic realm="authserver"',
    });
    expect(lines).toEqual([
      {
        level: 'info',
        message: 'No "such" client\n.',
        fields: expect.objectContaining({
          status: 401,
          detail: 'secret detail',
          path: '/x',
          source: '127.0.0.1',
        }),
      },
    ]);
  });

  it('of the API is a problem that names the request', async () => {
    const { app } = serve([
      throwing('api', new Failure('conflict', 'It exists.', { detail: 'secret', hint: 'Use another name.' })),
    ]);
    const response = await app.inject('/x');
    expect(response.headers['content-type']).toBe('application/problem+json');
    expect(response.json()).toEqual({
      type: 'about:blank',
      title: 'Conflict',
      status: 409,
      detail: 'It exists.',
      code: 'conflict',
      hint: 'Use another name.',
      request: expect.stringMatching(/^[0-9a-f]{12}-1$/),
    });
  });

  it('of a page is drawn by the page, with the status of the failure', async () => {
    const { app } = serve([throwing('page', new Failure('forbidden', 'Not you.'))]);
    const response = await app.inject('/x');
    expect(response.statusCode).toBe(403);
    expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(response.body).toMatch(/^<p>Not you\. \([0-9a-f]{12}-1\)<\/p>$/);
  });

  it.each([
    ['invalid_input', 400, 'invalid_request'],
    ['unauthenticated', 401, 'invalid_client'],
    ['forbidden', 403, 'access_denied'],
    ['not_found', 404, 'invalid_request'],
    ['conflict', 409, 'invalid_request'],
    ['refused', 409, 'invalid_request'],
    ['rate_limited', 429, 'temporarily_unavailable'],
    ['unavailable', 503, 'temporarily_unavailable'],
    ['interrupted', 503, 'temporarily_unavailable'],
    ['configuration', 500, 'server_error'],
    ['internal', 500, 'server_error'],
  ] as const)('with the code %s has status %i and OAuth error %s', async (code, status, error) => {
    const { app } = serve([throwing('oauth', new Failure(code, 'So it is.'))]);
    const response = await app.inject('/x');
    expect(response.statusCode).toBe(status);
    expect(response.json().error).toBe(error);
  });

  it.each([
    ['rate_limited', 4.2, '5'],
    ['unavailable', undefined, '1'],
  ] as const)('%s says when to come back', async (code, retryAfter, header) => {
    for (const kind of ['oauth', 'page', 'api'] as const) {
      const { app } = serve([throwing(kind, new Failure(code, 'Wait.', { retryAfter }))]);
      expect((await app.inject('/x')).headers['retry-after']).toBe(header);
    }
  });

  it('of our own reveals nothing and is logged whole', async () => {
    const cause = Object.assign(new Error('password of 10.0.0.1 is hunter2'), { statusCode: 418 });
    for (const kind of ['oauth', 'page', 'api'] as const) {
      const { app, lines } = serve([throwing(kind, cause)]);
      const response = await app.inject('/x?secret=1');
      expect(response.statusCode).toBe(500);
      expect(response.body).not.toMatch(/hunter2|10\.0\.0\.1|secret|mount\.test/);
      expect(lines).toHaveLength(1);
      expect(lines[0]?.level).toBe('error');
      expect(lines[0]?.fields).toMatchObject({ err: cause, detail: cause.message, path: '/x' });
    }
  });

  it('in settings is told to the operator, not to clients and people', async () => {
    const failure = new Failure('configuration', 'The key k1 is missing.', { hint: 'Restore keys/k1.pem.' });
    const bodies = [];
    for (const kind of ['oauth', 'page', 'api'] as const)
      bodies.push((await serve([throwing(kind, failure)]).app.inject('/x')).body);
    expect(bodies[0]).toBe(
      '{"error":"server_error","error_description":"Something went wrong on our side."}',
    );
    expect(bodies[2]).toContain('Restore keys/k1.pem.');
  });

  it('is still answered when the response or the error page cannot be written', async () => {
    const bad = { status: 200, headers: { 'x-bad': 'a\r\nb' } };
    for (const kind of ['oauth', 'page', 'api'] as const) {
      const { app, lines } = serve([route({ kind, handle: () => bad })], { errorPage: () => bad });
      const response = await app.inject('/x');
      expect(response.statusCode).toBe(500);
      expect(response.headers).not.toHaveProperty('x-bad');
      expect(lines.every(({ level }) => level === 'error')).toBe(true);
    }
    const { app } = serve([throwing('page', new Failure('not_found', 'Gone.'))], {
      errorPage: () => {
        throw new Error('template');
      },
    });
    expect((await app.inject('/x')).statusCode).toBe(500);
  });
});

describe('a request that no handler should see', () => {
  const handle: Route['handle'] = () => json(200, {});
  const routes = [
    route({ path: '/token', method: 'POST', kind: 'oauth', body: 'form', cors: true, handle }),
    route({ path: '/signin', kind: 'page', handle }),
    route({ path: '/signin', method: 'POST', kind: 'page', body: 'form', handle }),
    route({ path: '/api', method: 'POST', kind: 'api', body: 'json', handle }),
    route({ path: '/register/:id', kind: 'oauth', handle }),
    route({ path: '/items/:id', kind: 'api', handle }),
  ];

  it('is told the methods of its path', async () => {
    const { app } = serve(routes);
    const token = await app.inject('/token');
    expect(token.statusCode).toBe(405);
    expect(token.headers['allow']).toBe('POST, OPTIONS');
    expect(token.json()).toEqual({
      error: 'invalid_request',
      error_description: 'This address does not take that method.',
    });
    const page = await app.inject({ method: 'DELETE', url: '/signin' });
    expect(page.statusCode).toBe(405);
    expect(page.headers['allow']).toBe('GET, HEAD, POST');
    expect(page.headers['content-type']).toContain('text/html');
    expect((await app.inject({ method: 'OPTIONS', url: '/api' })).statusCode).toBe(405);
    const below = await app.inject({ method: 'DELETE', url: '/register/one?x=/items/1' });
    expect([below.statusCode, below.headers['allow']]).toEqual([405, 'GET, HEAD']);
    expect(below.json()).toHaveProperty('error');
    expect((await app.inject({ method: 'DELETE', url: '/register/one/two' })).statusCode).toBe(404);
    const large = await app.inject({ method: 'PUT', url: '/token', payload: 'x'.repeat(2_000_000) });
    expect(large.statusCode).toBe(413);
    expect(large.json()).toHaveProperty('error');
  });

  it('is not taken for the parameter of another path', async () => {
    const search = route({ path: '/items/search', method: 'POST', kind: 'api', handle });
    const { app } = serve([...routes, search]);
    const asked = await app.inject('/items/search');
    expect([asked.statusCode, asked.headers['allow']]).toEqual([405, 'POST']);
    expect((await app.inject('/items/other')).statusCode).toBe(200);
  });

  it('is told that there is nothing, in its own kind', async () => {
    const { app } = serve(routes);
    const data = await app.inject('/nowhere');
    expect(data.statusCode).toBe(404);
    expect(data.headers['content-type']).toBe('application/problem+json');
    const page = await app.inject({ url: '/nowhere', headers: { accept: 'text/html,*/*' } });
    expect(page.statusCode).toBe(404);
    expect(page.headers['content-type']).toContain('text/html');
    const client = await app.inject('/register/a/b');
    expect(client.statusCode).toBe(404);
    expect(client.json().error).toBe('invalid_request');
    const methods = await app.inject({ method: 'PROPFIND' as 'GET', url: '/nowhere' });
    expect([methods.statusCode, methods.headers['content-type']]).toEqual([404, 'application/problem+json']);
  });

  it('sent a body that is too large', async () => {
    const { app } = serve(routes);
    for (const [url, type] of [
      ['/token', FORM],
      ['/signin', FORM],
      ['/api', 'application/json'],
      ['/nowhere', 'text/plain'],
    ] as const) {
      const payload = 'a'.repeat(BODY_LIMIT + 1);
      const response = await app.inject({ method: 'POST', url, headers: { 'content-type': type }, payload });
      expect([url, response.statusCode]).toEqual([url, 413]);
      expect(response.body).toContain('The body of the request is too large.');
    }
  });

  it.each([['text/plain'], ['application/json; charset'], ['not a type'], [undefined]])(
    'sent a body as %s',
    async (type) => {
      const { app } = serve(routes);
      const headers = type === undefined ? {} : { 'content-type': type };
      const post = (url: string) => app.inject({ method: 'POST', url, headers, payload: '<x>' });
      const token = await post('/token');
      expect(token.statusCode).toBe(400);
      expect(token.json().error).toBe('invalid_request');
      expect((await post('/signin')).statusCode).toBe(415);
      if (!type?.startsWith('application/json')) expect((await post('/api')).statusCode).toBe(415);
    },
  );

  it.each(['q=%ff', 'q=%zz', 'q=%', 'q=%00', 'a&'.repeat(101)])('has the query %s', async (query) => {
    const { app } = serve(routes);
    const oauth = await app.inject(`/register/1?${query}`);
    expect([oauth.statusCode, oauth.json().error]).toEqual([400, 'invalid_request']);
    const page = await app.inject(`/signin?${query}`);
    expect([page.statusCode, page.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8']);
    const api = await app.inject(`/items/1?${query}`);
    expect([api.statusCode, api.json().code]).toEqual([400, 'invalid_input']);
  });

  it.each(['%ff', '%zz', '%', '%00', '%c0%af'])('has the path parameter %s', async (value) => {
    const { app } = serve(routes);
    const oauth = await app.inject(`/register/${value}`);
    expect([oauth.statusCode, oauth.json().error]).toEqual([400, 'invalid_request']);
    expect((await app.inject(`/items/${value}`)).statusCode).toBe(400);
  });

  it('has a path parameter that is too long', async () => {
    const { app } = serve(routes);
    expect((await app.inject(`/items/${'a'.repeat(513)}`)).statusCode).toBe(414);
  });

  it('comes from a page of another origin', async () => {
    const { app } = serve(routes);
    const ask = (url: string, origin: string) =>
      app.inject({ method: 'OPTIONS', url, headers: { origin, 'access-control-request-method': 'POST' } });
    const allowed = await ask('/token', 'https://app.example');
    expect(allowed.statusCode).toBe(204);
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-methods': 'POST',
      vary: 'origin',
    });
    const other = await ask('/token', 'https://evil.example');
    expect(other.headers).not.toHaveProperty('access-control-allow-origin');
    const failed = await app.inject({ url: '/token', headers: { origin: 'https://app.example' } });
    expect(failed.statusCode).toBe(405);
    expect(failed.headers['access-control-allow-origin']).toBe('https://app.example');
    expect(failed.headers['access-control-expose-headers']).toBe('dpop-nonce, www-authenticate');
    const page = await app.inject({ url: '/signin', headers: { origin: 'https://app.example' } });
    expect(page.headers).not.toHaveProperty('access-control-allow-origin');
    expect(failed.headers).not.toHaveProperty('access-control-allow-credentials');
  });

  it('is random: a clear 4xx, never a 5xx', async () => {
    const picky: Route['handle'] = ({ form, json: value }) => {
      if (form.get('grant_type') === 'right' || value === 'right') return json(200, {});
      throw new Failure('invalid_input', 'That is not it.');
    };
    const { app, lines } = serve(routes.map((each) => ({ ...each, handle: picky })));
    const type = fc.constantFrom(
      FORM,
      'application/json',
      'text/plain',
      `${FORM};charset=latin1`,
      '',
      'a/b;c=',
    );
    const url = fc.constantFrom('/token', '/signin', '/api', '/nowhere', '/token?%');
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.string({ unit: fc.constantFrom('a', '=', '&', '%', '+', '{', '}', '"', ':', '[', '\\', '\ud800') }),
    );
    await fc.assert(
      fc.asyncProperty(url, type, bytes, async (target, contentType, body) => {
        const response = await app.inject({
          method: 'POST',
          url: target,
          headers: { 'content-type': contentType },
          payload: Buffer.from(body as string),
        });
        expect(response.statusCode).toBeGreaterThanOrEqual(400);
        expect(response.statusCode).toBeLessThan(500);
        expect(response.headers['cache-control']).toBe('no-store');
      }),
      { numRuns: 1000 },
    );
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });
});
