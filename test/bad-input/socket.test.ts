// What no HTTP client would send, byte by byte over a socket to the served product: refused in HTTP, and it goes on serving.

import { once } from 'node:events';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { startServer, type TestServer } from '../setup/server.ts';

const RANDOM_REQUESTS = 100;

const form = 'Host: a\r\nContent-Type: application/x-www-form-urlencoded\r\n';
const post = (headers: string, body = '') => `POST /oauth/token HTTP/1.1\r\n${form}${headers}\r\n${body}`;
const get = (headers: string, path = '/') => `GET ${path} HTTP/1.1\r\n${headers}\r\n`;

/** By what is wrong with it, and the status that says so. */
const BROKEN: readonly (readonly [name: string, request: string | Buffer, status: number])[] = [
  ['no HTTP at all', 'garbage\r\n\r\n', 400],
  [
    'the beginning of TLS',
    Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
    400,
  ],
  ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['another version', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n', 400],
  ['no host', get('', '/livez'), 400],
  ['an expectation nobody knows', post('Expect: rot13\r\nContent-Length: 0\r\n'), 401],
  ['a header that is too long', get(`Host: a\r\nX: ${'x'.repeat(20_000)}\r\n`), 431],
  ['too many headers', get(`Host: a\r\n${'X: 0123456789\r\n'.repeat(2000)}`), 431],
  ['an address that is too long', get('Host: a\r\n', `/${'x'.repeat(20_000)}`), 431],
  ['a header without a colon', get('Host: a\r\nBroken\r\n'), 400],
  ['a space before the colon', get('Host: a\r\nBroken : 1\r\n'), 400],
  ['U+0000 in a header', get('Host: a\r\nX: a\0b\r\n'), 400],
  ['bytes that are no text in the address', Buffer.from(get('Host: a\r\n', '/\xff\xfe'), 'latin1'), 400],
  ['an escape that is no text in the address', get('Host: a\r\n', '/%ff'), 400],
  ['a negative length', post('Content-Length: -1\r\n'), 400],
  ['a length that is no number', post('Content-Length: many\r\n'), 400],
  ['two lengths', post('Content-Length: 1\r\nContent-Length: 2\r\n', 'aa'), 400],
  ['a length and chunks', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['an unknown transfer encoding', post('Transfer-Encoding: rot13\r\n', 'a'), 400],
  ['chunks that are none', post('Transfer-Encoding: chunked\r\n', 'zz\r\na\r\n0\r\n\r\n'), 400],
  ['less than it announces', post('Content-Length: 100\r\n', 'a=b'), 400],
  ['more than is read', post('Content-Length: 70000\r\n', 'a'.repeat(70_000)), 413],
  [
    'more than is read, in chunks',
    post('Transfer-Encoding: chunked\r\n', `11170\r\n${'a'.repeat(70_000)}\r\n0\r\n\r\n`),
    413,
  ],
  ['more than is read, asking first', post('Expect: 100-continue\r\nContent-Length: 70000\r\n'), 413],
];

describeEngines('a socket', (engine) => {
  let server: TestServer;
  const stack = new AsyncDisposableStack();
  beforeAll(async () => {
    const storage = stack.use(await freshStorage(engine));
    const env = { AUTHSERVER_RATE_LIMIT_ENABLED: 'false' };
    server = stack.use(await startServer({ storage, env }));
  });
  afterAll(() => stack.disposeAsync());

  it.for(BROKEN)('that brings %s is told so', async ([, request, status]) => {
    const answer = await exchange(server.url, request);
    expect(answer.split('\r\n', 1)[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/\r\ncontent-type: application\/(problem\+)?json\r\n/);
    expect(answer.slice(answer.lastIndexOf('\r\n\r\n') + 4)).toMatch(/^\{.+\}$/);
  });

  it('that brings random bytes, or a request with random damage, harms nobody', async () => {
    const whole = Buffer.from(post('Content-Length: 29\r\n', 'grant_type=client_credentials'));
    const damaged = fc
      .tuple(fc.nat(whole.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 }))
      .map(([at, bytes]) => {
        const copy = Buffer.from(whole);
        copy.set(bytes.slice(0, copy.length - at), at);
        return copy;
      });
    const random = fc.uint8Array({ minLength: 1, maxLength: 400 }).map((bytes) => Buffer.from(bytes));
    await fc.assert(
      fc.asyncProperty(fc.oneof(random, damaged), async (request) => {
        // Nothing at all is an answer, too, to what may still have become a request when the client hung up.
        expect(await exchange(server.url, request)).toMatch(/^(HTTP\/1\.1 4\d\d .+|)$/s);
      }),
      { numRuns: RANDOM_REQUESTS },
    );
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
    expect(server.log).not.toMatch(/"level":"error"/);
  });
});

/** Sends these bytes and hangs up; what comes back until the server does. */
async function exchange(url: string, request: string | Buffer): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port), allowHalfOpen: true });
  await once(socket, 'connect');
  // A server that refuses before it has read everything resets the connection; what it said has arrived by then.
  socket.on('error', () => undefined);
  socket.end(request);
  const answer = (await buffer(socket)).toString('latin1');
  return answer.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
}
