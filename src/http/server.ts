import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { Failure } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { Connections } from './connections.ts';
import { HttpFailure, problemResponse, reasonPhrase } from './errors.ts';
import { defaultHeaders } from './headers.ts';

export interface ServerOptions {
  /** Bytes; a longer body is answered with 413. */
  readonly bodyLimit: number;
  /** Addresses or CIDR blocks whose `X-Forwarded-For` is believed; empty: nobody's. */
  readonly trustedProxies: readonly string[];
  /** How long a client may take to send a request, ms; 0: as long as it likes. */
  readonly requestTimeout: number;
  readonly random: Random;
}

/** Longer than any id we make; a longer one cannot name anything. */
const MAX_PATH_PART = 512;

/** How long a client may take to read why its request was refused, ms. */
const LINGER = 1000;

/** Nobody reads it: `Received` parses the query itself, strictly. */
const NO_QUERY = {};

/**
 * A listener without routes, tuned for speed: no logger, schemas or body parsers of its own. Listen on one address each.
 * Throws Failure `configuration` for a trusted proxy that is no address.
 */
export function makeServer(options: ServerOptions): FastifyInstance {
  const app = create(options);
  const connections = new Connections(app.server);
  app.decorate('connections', connections);
  app.addHook('preClose', (done) => {
    connections.startDraining();
    done();
  });
  app.addHook('onRequest', requireHost);
  // Expectations that nobody knows are not met, and not answered with Node's empty 417 either.
  app.server.on('checkExpectation', app.routing);
  // Bodies stay bytes until the route says what they are, so that every refusal is in our words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  return app;
}

/** Lets a handler of an app made by `makeServer` know how its connections stand. */
export function connectionsOf(app: FastifyInstance): Connections {
  return app.getDecorator<Connections>('connections');
}

/**
 * Stops accepting, lets running requests finish (their responses say `Connection: close`) and closes idle connections.
 * @param ms after this long, what is still open is cut
 * @returns true when nothing had to be cut
 */
export async function drain(app: FastifyInstance, ms: number): Promise<boolean> {
  let cut = 0;
  const timer = setTimeout(() => {
    cut = connectionsOf(app).dropAll();
  }, ms);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
  return cut === 0;
}

function create(options: ServerOptions): FastifyInstance {
  try {
    return fastify({
      bodyLimit: options.bodyLimit,
      trustProxy: options.trustedProxies.length > 0 && [...options.trustedProxies],
      requestTimeout: options.requestTimeout,
      // Requests that arrive on an open connection while we drain are still answered.
      return503OnClosing: false,
      exposeHeadRoutes: false,
      schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
      routerOptions: { maxParamLength: MAX_PATH_PART, querystringParser: () => NO_QUERY },
      // Node would answer a missing host itself, with nothing; `requireHost` does.
      http: { ...timeouts(options.requestTimeout), requireHostHeader: false },
      genReqId: requestIds(options.random),
      clientErrorHandler: answerBrokenRequest,
      frameworkErrors: (error, request, reply) => {
        const app = reply.server;
        app.errorHandler.call(app, error, request, reply);
      },
    });
  } catch (cause) {
    throw new Failure('configuration', 'The HTTP listener cannot be set up.', {
      detail: cause instanceof Error ? cause.message : String(cause),
      hint: 'Trusted proxies must be IP addresses or CIDR blocks such as 10.0.0.0/8.',
      cause,
    });
  }
}

/** Stands in for Fastify's own compilers of schemas, whose loading would take a sixth of the start. */
function noSchemas(): never {
  throw new Error('routes have no schemas here: what comes in is parsed by Received');
}

/**
 * Node looks for late requests every 30 s, which would stretch a short timeout, and gives headers 60 s; it then forgets
 * a request timeout that is shorter than that.
 */
function timeouts(requestTimeout: number): { headersTimeout: number; connectionsCheckingInterval: number } {
  const longest = requestTimeout > 0 ? requestTimeout : Number.POSITIVE_INFINITY;
  return {
    headersTimeout: Math.min(60_000, longest),
    connectionsCheckingInterval: Math.max(100, Math.min(5000, longest / 2)),
  };
}

/** RFC 9112 section 3.2: a request of HTTP/1.1 without a host is refused, though nothing here looks at it. */
function requireHost({ raw }: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
  const isRefused = raw.headers.host === undefined && raw.httpVersion === '1.1';
  if (isRefused)
    done(new HttpFailure(400, 'The request has no Host header.', { headers: { connection: 'close' } }));
  else done();
}

/** Ids that are unique over all processes and restarts, and cheap: chance once, then a counter. */
function requestIds(random: Random): () => string {
  const start = random.bytes(6).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `${start}-${count.toString(36)}`;
  };
}

/** The socket spoke something that is not HTTP, or too slowly: there is no request to answer, only bytes to write. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  // Comes again with every further piece of the same broken request.
  if (!socket.writable) return;
  const { status, headers, body = '' } = problemResponse(brokenRequest(error.code));
  const lines = Object.entries({
    ...defaultHeaders({ kind: 'api' }, false),
    ...headers,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n${lines.join('')}\r\n${body}`);
  // Closing at once, with bytes unread, would reset the connection before the client has read why.
  setTimeout(() => socket.destroy(), LINGER).unref();
}

function brokenRequest(code: string | undefined): HttpFailure {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new HttpFailure(431, 'The headers of the request are too large.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new HttpFailure(408, 'The request took too long to arrive.');
  return new HttpFailure(400, 'The request is not valid HTTP.');
}
