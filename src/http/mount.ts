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
  const stems = stemsOf(app, edge);
  for (const [path, siblings] of Map.groupBy(routes, (route) => route.path)) {
    for (const url of addressesOf(options.prefix, path)) {
      const [stem = url, parameter] = url.split(':', 2);
      if (parameter !== undefined) stems.push({ stem, kind: kindOf(siblings) });
      mountPath(app, edge, { url, path }, siblings);
    }
  }
}

/** The issuer's own address has no trailing slash, yet people type one. */
function addressesOf(prefix: string, path: string): readonly string[] {
  return path === '/' && prefix !== '' ? [prefix, `${prefix}/`] : [prefix + path];
}

function kindOf(siblings: readonly Route[]): Kind {
  return siblings[0]?.kind ?? 'api';
}

function mountPath(
  app: FastifyInstance,
  edge: Edge,
  { url, path }: { readonly url: string; readonly path: string },
  siblings: readonly Route[],
): void {
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
  const rest = app.supportedMethods.filter((method) => !taken.includes(method));
  const refusal = new HttpFailure(405, 'This address does not take that method.', { headers: { allow } });
  add(rest, dress, (request, reply) => edge.fail(refusal, dress, request, reply));
}

/** What precedes a parameter in the mounted addresses: it tells whom an address with a bad parameter was meant for. */
type Stems = { readonly stem: string; readonly kind: Kind }[];

const STEMS = 'stems';

/** The app's stems; the first time, with `edge` set to answer what reaches no route. */
function stemsOf(app: FastifyInstance, edge: Edge): Stems {
  if (app.hasDecorator(STEMS)) return app.getDecorator<Stems>(STEMS);
  const stems: Stems = [];
  app.decorate(STEMS, stems);
  const dresses = {
    oauth: edge.dress({ kind: 'oauth', cors: true }),
    page: edge.dress({ kind: 'page' }),
    api: edge.dress({ kind: 'api' }),
  };
  const dressOf = (request: FastifyRequest) => dresses[strayKind(request, stems, edge)];
  app.setNotFoundHandler((request, reply) => edge.fail(nothingHere(), dressOf(request), request, reply));
  app.setErrorHandler((error, request, reply) => {
    edge.fail(frameworkFailure(error), dressOf(request), request, reply);
  });
  return stems;
}

/** How to answer an address without a route: as its neighbours do, else as a page to who accepts one. */
function strayKind(request: FastifyRequest, stems: Stems, edge: Edge): Kind {
  const url = request.raw.url ?? '';
  const neighbour = stems.find(({ stem }) => url.startsWith(stem));
  if (neighbour) return neighbour.kind;
  return edge.drawsPages && request.headers.accept?.includes('text/html') ? 'page' : 'api';
}
