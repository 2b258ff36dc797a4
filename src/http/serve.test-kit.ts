import type { FastifyInstance } from 'fastify';
import type { Log, LogFields } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import { html, type Route } from './exchange.ts';
import { type MountOptions, mount } from './mount.ts';
import { makeServer } from './server.ts';

/** For tests: routes on an app that listens nowhere and is asked with `inject`. */

export const FORM = 'application/x-www-form-urlencoded';
export const BODY_LIMIT = 2048;

export interface LogLine {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

/** A log that can be read back. */
export function recorder(): { lines: LogLine[]; log: Log } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: LogFields, message: string) =>
    void lines.push({ level, fields, message });
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } };
}

/** An app with these routes, and what it logs. */
export function serve(
  routes: readonly Route[],
  options: Partial<MountOptions> = {},
): { app: FastifyInstance; lines: LogLine[] } {
  const app = makeServer({
    bodyLimit: BODY_LIMIT,
    trustedProxies: [],
    requestTimeout: 0,
    random: systemRandom,
  });
  const { lines, log } = recorder();
  mount(app, routes, {
    log,
    secure: false,
    prefix: '',
    via: 'inject',
    allowedOrigins: ['https://app.example'],
    errorPage: (failure, request) => html(200, `<p>${failure.message} (${request.id})</p>`),
    ...options,
  });
  return { app, lines };
}

/** `GET /x` of the API, unless told otherwise. */
export function route(parts: Partial<Route> & Pick<Route, 'handle'>): Route {
  return { method: 'GET', path: '/x', kind: 'api', body: 'none', ...parts };
}

export function throwing(kind: Route['kind'], error: unknown): Route {
  return route({
    kind,
    handle: () => {
      throw error;
    },
  });
}
