import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { preflightHeaders } from './cors.ts';
import { type Dress, Edge, type EdgeOptions } from './edge.ts';
import { frameworkFailure, HttpFailure, nothingHere } from './errors.ts';
import { empty, type Route } from './exchange.ts';
import { connectionsOf } from './server.ts';

export interface MountOptions extends EdgeOptions {
  /** The issuer's path, put before every route: empty or `/auth`. */
  readonly prefix: string;
}

type Kind = Route['kind'];
type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

/**
 * Puts routes on an app made by `makeServer`. All routes of one path belong in one call, which also answers the path's
 * other methods, with 405. The first mount of an app answers for the addresses that nobody mounted.
 */
export function mount(app: FastifyInstance, routes: readonly Route[], options: MountOptions): void {
  const edge = new Edge(connectionsOf(app), options);
  const addresses = addressesOf(app, edge);
  const places = [...Map.groupBy(routes, (route) => route.path)].flatMap(([path, siblings]) =>
    urlsOf(options.prefix, path).map((url) => ({ url, path, siblings, pattern: patternOf(url) })),
  );
  const open = places.filter(({ url }) => hasParameter(url));
  for (const place of places) {
    const { url, pattern } = place;
    const stem = hasParameter(url) ? url.split(':', 1)[0] : undefined;
    const isCovered = stem === undefined && open.some((other) => other.pattern.test(url));
    addresses.push({ pattern, stem, ...mountPath(app, edge, { ...place, isCovered }) });
  }
}

interface Place {
  readonly url: string;
  /** The route's own, without the issuer's. */
  readonly path: string;
  readonly siblings: readonly Route[];
  /** An address with a parameter would take what this one refuses for a value of it. */
  readonly isCovered: boolean;
}

/** The issuer's own address has no trailing slash, yet people type one. */
function urlsOf(prefix: string, path: string): readonly string[] {
  return path === '/' && prefix !== '' ? [prefix, `${prefix}/`] : [prefix + path];
}

function hasParameter(url: string): boolean {
  return url.includes(':');
}

/** What a whole path has to be for an address with parameters, or without. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : RegExp.escape(part)));
  return new RegExp(`^${parts.join('/')}$`);
}

function kindOf(siblings: readonly Route[]): Kind {
  return siblings[0]?.kind ?? 'api';
}

function mountPath(
  app: FastifyInstance,
  edge: Edge,
  { url, path, siblings, isCovered }: Place,
): Pick<Address, 'dress' | 'refuse'> {
  const taken: string[] = [];
  const add = (methods: readonly string[], dress: Dress, handler: Handler) => {
    taken.push(...methods);
    app.route({
      method: methods as HTTPMethods[],
      url,
      handler,
      errorHandler: (error, request, reply) => edge.fail(frameworkFailure(error), dress, request, reply),
    });
  };

  for (const route of siblings) {
    const dress = edge.dress(route, path);
    const methods = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method];
    // Nothing is returned: Fastify would wait for a promise and then send its value.
    add(methods, dress, (request, reply) => void edge.serve(route, dress, request, reply));
  }

  const open = siblings.filter((route) => route.cors);
  const dress = edge.dress({ kind: kindOf(siblings), cors: open.length > 0 }, path);
  if (open.length > 0) {
    const preflight = empty(204, preflightHeaders(open.map((route) => route.method)));
    add(['OPTIONS'], dress, (request, reply) => edge.write(preflight, dress, request, reply));
  }

  const allow = taken.join(', ');
  const refusal = new HttpFailure(405, 'This address does not take that method.', { headers: { allow } });
  const refuse = (request: FastifyRequest, reply: FastifyReply) => edge.fail(refusal, dress, request, reply);
  if (isCovered)
    add(
      app.supportedMethods.filter((method) => !taken.includes(method)),
      dress,
      refuse,
    );
  return { dress, refuse };
}

/**
 * An address as requests meet it that reach no route. To give it a route for each method that it refuses would cost a start
 * tens of milliseconds.
 */
interface Address {
  readonly pattern: RegExp;
  /** What precedes its parameter: it tells whom an address with a bad one was meant for. */
  readonly stem: string | undefined;
  readonly dress: Dress;
  /** 405 */
  refuse(request: FastifyRequest, reply: FastifyReply): void;
}

const MOUNTED = 'mounted';

/** The app's addresses; the first time, with `edge` set to answer what reaches no route. */
function addressesOf(app: FastifyInstance, edge: Edge): Address[] {
  if (app.hasDecorator(MOUNTED)) return app.getDecorator<Address[]>(MOUNTED);
  const addresses: Address[] = [];
  app.decorate(MOUNTED, addresses);
  const dresses = {
    oauth: edge.dress({ kind: 'oauth', cors: true }),
    page: edge.dress({ kind: 'page' }),
    api: edge.dress({ kind: 'api' }),
  };
  const meant = (request: FastifyRequest) => {
    const path = pathOf(request);
    return addresses.find(({ pattern }) => pattern.test(path));
  };
  const dressOf = (request: FastifyRequest) => dresses[strayKind(request, addresses, edge)];
  app.setNotFoundHandler((request, reply) => {
    const address = meant(request);
    if (address) address.refuse(request, reply);
    else edge.fail(nothingHere(), dressOf(request), request, reply);
  });
  app.setErrorHandler((error, request, reply) => {
    edge.fail(frameworkFailure(error), meant(request)?.dress ?? dressOf(request), request, reply);
  });
  return addresses;
}

function pathOf({ raw }: FastifyRequest): string {
  return (raw.url ?? '').split('?', 1)[0] ?? '';
}

/** How to answer an address without a route: as its neighbours do, else as a page to who accepts one. */
function strayKind(request: FastifyRequest, addresses: readonly Address[], edge: Edge): Kind {
  const url = request.raw.url ?? '';
  const neighbour = addresses.find(({ stem }) => stem !== undefined && url.startsWith(stem));
  if (neighbour) return neighbour.dress.kind;
  return edge.drawsPages && request.headers.accept?.includes('text/html') ? 'page' : 'api';
}
