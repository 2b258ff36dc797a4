import type { FastifyReply, FastifyRequest } from 'fastify';
import { asFailure, type Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { type Meter, silentMeter } from '../kernel/metrics.ts';
import type { Connections } from './connections.ts';
import { corsHeaders } from './cors.ts';
import { forOAuth, headersOf, oauthErrorResponse, problemResponse, statusOf } from './errors.ts';
import type { Incoming, Outgoing, Route } from './exchange.ts';
import { defaultHeaders } from './headers.ts';
import type { RateLimiter } from './limits.ts';
import { PathMeter } from './path-meter.ts';
import { Received } from './received.ts';
import { writeReply } from './reply.ts';

export interface EdgeOptions {
  readonly log: Log;
  /** The issuer is https: `__Host-` cookies and HSTS. */
  readonly secure: boolean;
  readonly via: Incoming['via'];
  /** Origins that may call routes with `cors`; `*` for any. */
  readonly allowedOrigins: readonly string[];
  /** Draws an error for a person; status and `Retry-After` come from the failure. Without it errors are problem details. */
  readonly errorPage?: (failure: Failure, request: Incoming) => Outgoing;
  /** Counts every request of these routes by its source. */
  readonly limiter?: RateLimiter;
  /** Counts what is asked here under the name of this listener; nobody where absent. */
  readonly meter?: Meter;
  readonly listener?: 'public' | 'admin';
}

/** The route of requests that reached none. */
const UNMATCHED = 'unmatched';

/** How the answers of a route are dressed, worked out once. */
export interface Dress {
  readonly kind: Route['kind'];
  readonly cors: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly errorHeaders: Readonly<Record<string, string>>;
  readonly meter: PathMeter;
}

/** Turns requests into values, and values and failures into responses; the only place that writes an error. */
export class Edge {
  readonly #options: EdgeOptions;
  readonly #connections: Connections;
  readonly #meter: Meter;

  constructor(connections: Connections, options: EdgeOptions) {
    this.#connections = connections;
    this.#options = options;
    this.#meter = options.meter ?? silentMeter;
  }

  /** Whether there are pages for people here. */
  get drawsPages(): boolean {
    return this.#options.errorPage !== undefined;
  }

  /** @param path the route's own, without the issuer's */
  dress(route: Pick<Route, 'kind' | 'cors' | 'cache'>, path = UNMATCHED): Dress {
    const { kind, cors = false } = route;
    const meter = new PathMeter(this.#meter, this.#options.listener ?? 'public', path);
    const headers = defaultHeaders(route, this.#options.secure);
    return { kind, cors, headers, errorHeaders: defaultHeaders({ kind }, this.#options.secure), meter };
  }

  /** Answers a request with what the route's handler makes of it. Never throws. */
  async serve(route: Route, dress: Dress, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const from = this.#meter.now();
    try {
      const received = this.#receive(request);
      this.#options.limiter?.take(received.source);
      received.parse(route.body);
      this.write(await route.handle(received), dress, request, reply);
    } catch (error) {
      this.fail(asFailure(error), dress, request, reply);
    }
    dress.meter.took(request.method, this.#meter.now() - from);
  }

  /** Throws, with nothing written, when the response has a header that cannot be sent. */
  write(outgoing: Outgoing, dress: Dress, request: FastifyRequest, reply: FastifyReply): void {
    this.#send(outgoing, dress, dress.headers, request, reply);
  }

  /** Writes a failure in the words of the route's kind, and logs what the caller may not know. Never throws. */
  fail(error: Failure, dress: Dress, request: FastifyRequest, reply: FastifyReply): void {
    const received = this.#receive(request);
    const failure = dress.kind === 'oauth' ? forOAuth(error) : error;
    this.#report(failure, received);
    try {
      this.#send(
        this.#errorResponse(failure, dress.kind, received),
        dress,
        dress.errorHeaders,
        request,
        reply,
      );
    } catch (unwritable) {
      const own = asFailure(unwritable);
      this.#report(own, received);
      this.#send(problemResponse(own, received.id), dress, dress.errorHeaders, request, reply);
    }
  }

  #errorResponse(failure: Failure, kind: Route['kind'], received: Incoming): Outgoing {
    if (kind === 'oauth') return oauthErrorResponse(failure);
    if (kind === 'api' || !this.#options.errorPage) return problemResponse(failure, received.id);
    const page = this.#options.errorPage(failure, received);
    return { ...page, status: statusOf(failure), headers: { ...page.headers, ...headersOf(failure) } };
  }

  #send(
    outgoing: Outgoing,
    dress: Dress,
    defaults: Dress['headers'],
    request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    writeReply(reply, outgoing, {
      defaults,
      cors: dress.cors ? corsHeaders(request.headers.origin, this.#options.allowedOrigins) : undefined,
      secure: this.#options.secure,
      close: this.#connections.draining,
    });
    dress.meter.answered(request.method, outgoing.status);
    if (outgoing.error !== undefined) dress.meter.refused(outgoing.error);
  }

  #receive(request: FastifyRequest): Received {
    return new Received(request, this.#options);
  }

  #report(failure: Failure, received: Incoming): void {
    const status = statusOf(failure);
    const fields = {
      request: received.id,
      method: received.method,
      path: received.path,
      source: received.source,
      status,
      code: failure.code,
      detail: failure.detail,
    };
    if (status >= 500) this.#options.log.error({ ...fields, err: failure.cause ?? failure }, failure.message);
    else this.#options.log.info(fields, failure.message);
  }
}
