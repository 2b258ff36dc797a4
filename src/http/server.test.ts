import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { silentLog } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import { json, type Route } from './exchange.ts';
import { mount } from './mount.ts';
import { drain, makeServer, type ServerOptions } from './server.ts';

const open: FastifyInstance[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const app of open.splice(0)) await drain(app, 0);
});

const echo: Route = {
  method: 'POST',
  path: '/echo',
  kind: 'oauth',
  body: 'form',
  handle: ({ source, path }) => json(200, { source, path }),
};

async function listen(routes: readonly Route[], options: Partial<ServerOptions> = {}) {
  const app = makeServer({
    bodyLimit: 1024,
    trustedProxies: [],
    requestTimeout: 0,
    random: systemRandom,
    ...options,
  });
  open.push(app);
  mount(app, routes, { log: silentLog, secure: false, prefix: '', via: 'tcp', allowedOrigins: [] });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return { app, port, url: `http://127.0.0.1:${port}` };
}

async function dial(port: number): Promise<{ socket: Socket; received: Promise<string>; seen(): string }> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  const received = new Promise<string>((resolve) => {
    socket.on('close', () => resolve(text));
  });
  await once(socket, 'connect');
  // A reset says no more than `close` does.
  socket.on('error', () => {});
  return { socket, received, seen: () => text };
}

/** What a server answers to these bytes before it closes. */
async function talk(port: number, bytes: string | Buffer): Promise<string> {
  const { socket, received } = await dial(port);
  socket.write(bytes);
  return received;
}

describe('a socket', () => {
  it.each([
    ['no HTTP', 'hello there\r\n\r\n', 400],
    ['TLS', Buffer.from('160301020001000001fc0303', 'hex'), 400],
    ['a header with a line break inside', 'GET / HTTP/1.1\r\nHost: a\r\nx: a\nb\r\n\r\n', 400],
    ['two lengths', 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    [
      'a length and chunks',
      'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    [
      'chunks that are none',
      'POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      400,
    ],
    ['headers without end', `GET / HTTP/1.1\r\nHost: a\r\nx: ${'a'.repeat(200_000)}\r\n\r\n`, 431],
  ])('that speaks %s is told so and closed', async (_what, bytes, status) => {
    const { port } = await listen([echo]);
    const answer = await talk(port, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toContain('connection: close\r\n');
    expect(answer).toContain('cache-control: no-store\r\n');
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({
      status,
      type: 'about:blank',
    });
  });

  it('without a Host header is refused', async () => {
    const { port } = await listen([echo]);
    expect(await talk(port, 'GET /echo HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('that names another host in an absolute target gets our path and no more', async () => {
    const { port } = await listen([{ ...echo, method: 'GET', body: 'none' }]);
    const answer = await talk(
      port,
      'GET http://evil.example/echo?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain('"path":"/echo"');
    expect(answer).not.toContain('evil.example');
  });

  it('that asks for OPTIONS * or CONNECT does no harm', async () => {
    const { port, url } = await listen([echo]);
    expect(await talk(port, 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 4/,
    );
    await talk(port, 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n');
    expect((await fetch(`${url}/nowhere`)).status).toBe(404);
  });

  it('that sends its request too slowly is told so', async () => {
    const { port } = await listen([echo], { requestTimeout: 200 });
    const answer = await talk(port, 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nslow');
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });
});

describe('a body over the limit', () => {
  it.each([
    ['announced', () => Buffer.alloc(4_000_000, 'a')],
    [
      'in chunks',
      () =>
        new ReadableStream({
          start(controller) {
            for (let i = 0; i < 40; i++) controller.enqueue(Buffer.alloc(100_000, 'a'));
            controller.close();
          },
        }),
    ],
  ])('%s gets a clear 413', async (_how, body) => {
    const { url } = await listen([echo]);
    for (let i = 0; i < 5; i++) {
      const response = await fetch(`${url}/echo`, {
        method: 'POST',
        body: body(),
        duplex: 'half',
      } as RequestInit);
      expect(response.status).toBe(413);
      expect(await response.json()).toEqual({
        error: 'invalid_request',
        error_description: 'The body of the request is too large.',
      });
    }
  });
});

describe('the address of a client', () => {
  const ask = async (url: string, headers: Record<string, string>) => {
    const response = await fetch(`${url}/echo`, { method: 'POST', headers });
    return ((await response.json()) as { source: string }).source;
  };

  it('is the peer, whatever it claims, while no proxy is trusted', async () => {
    const { url } = await listen([echo]);
    expect(await ask(url, { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9' })).toBe(
      '127.0.0.1',
    );
  });

  it('is the peer when another proxy is trusted', async () => {
    const { url } = await listen([echo], { trustedProxies: ['10.0.0.0/8'] });
    expect(await ask(url, { 'x-forwarded-for': '203.0.113.9' })).toBe('127.0.0.1');
  });

  it('is the last one before the trusted proxies', async () => {
    const { url } = await listen([echo], { trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
    expect(await ask(url, { 'x-forwarded-for': '198.51.100.66, 203.0.113.9, 10.1.2.3' })).toBe('203.0.113.9');
    expect(await ask(url, { 'x-forwarded-for': '::ffff:203.0.113.9' })).toBe('203.0.113.9');
    expect(await ask(url, {})).toBe('127.0.0.1');
  });

  it('is the proxy when that passes on no address', async () => {
    const { url } = await listen([echo], { trustedProxies: ['127.0.0.1'] });
    expect(await ask(url, { 'x-forwarded-for': 'unknown' })).toBe('127.0.0.1');
    expect(await ask(url, { 'x-forwarded-for': '<script>' })).toBe('127.0.0.1');
  });

  it('cannot come from a proxy that is no address', () => {
    const options = { bodyLimit: 1, requestTimeout: 0, random: systemRandom };
    expect(() => makeServer({ ...options, trustedProxies: ['proxy.local'] })).toThrow(Failure);
  });
});

describe('draining', () => {
  /** A route that answers when it is let go. */
  function gate() {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const slow: Route = {
      method: 'GET',
      path: '/slow',
      kind: 'api',
      body: 'none',
      handle: async () => {
        started.resolve();
        await release.promise;
        return json(200, { done: true });
      },
    };
    return { started: started.promise, release: release.resolve, slow };
  }
  const REQUEST = 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n';

  it('finishes the running request, closes its connection and takes no new one', async () => {
    const { started, release, slow } = gate();
    const { app, port } = await listen([slow]);
    const { socket, received } = await dial(port);
    socket.write(REQUEST);
    await started;
    const drained = drain(app, 5000);
    await sleep(20);
    await expect(dial(port)).rejects.toThrow(/ECONNREFUSED/);
    release();
    expect(await drained).toBe(true);
    const answer = await received;
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer.toLowerCase()).toContain('connection: close\r\n');
    expect(answer).toContain('{"done":true}');
  });

  it('answers a request whose first bytes came before', async () => {
    const { app, port } = await listen([echo]);
    const { socket, received } = await dial(port);
    socket.write('POST /echo HTTP/1.1\r\nHost: a\r\n');
    await sleep(20);
    const drained = drain(app, 5000);
    await sleep(20);
    socket.write('Content-Length: 0\r\n\r\n');
    expect(await drained).toBe(true);
    const answer = (await received).toLowerCase();
    expect(answer).toMatch(/^http\/1\.1 200 ok\r\n/);
    expect(answer).toContain('connection: close\r\n');
  });

  it('does not wait for connections that are idle or have never spoken', async () => {
    const { app, port } = await listen([echo]);
    const idle = await dial(port);
    idle.socket.write('POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    while (idle.seen() === '') await sleep(5);
    const silent = await dial(port);
    await sleep(20);
    const start = performance.now();
    expect(await drain(app, 5000)).toBe(true);
    expect(performance.now() - start).toBeLessThan(1000);
    await Promise.all([idle.received, silent.received]);
  });

  it('cuts what is not done in time', async () => {
    const { started, slow } = gate();
    const { app, port } = await listen([slow]);
    const { socket, received } = await dial(port);
    socket.write(REQUEST);
    await started;
    expect(await drain(app, 100)).toBe(false);
    expect(await received).toBe('');
  });
});
