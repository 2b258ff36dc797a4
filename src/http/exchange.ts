/**
 * http: the kit that endpoints are mounted with (routes, typed parsing, cookies, csrf, limits, headers, errors). It owns how
 * a request becomes a value and a value becomes a response; it must not know any endpoint, token or user.
 */
import type { Cookie } from './cookies.ts';
import type { OAuthErrorCode } from './oauth-error.ts';
import type { Params } from './params.ts';

/** A request, parsed once. A handler sees nothing else of it. */
export interface Incoming {
  /** Names the request in the log and in error pages. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** Named parts of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Params;
  /** The form of a POST; empty where the route takes none. */
  readonly form: Params;
  /** The parsed JSON body where the route takes one; undefined otherwise. */
  readonly json: unknown;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly cookies: ReadonlyMap<string, string>;
  /** The client's address, through trusted proxies only. */
  readonly source: string;
  /** How the request came in; the admin API lets the owner of the socket in without a key. */
  readonly via: 'tcp' | 'socket' | 'inject';
}

/** What makes the lines of an answer that grows. It must end soon after `gone`, and must not throw. */
export type Lines = (gone: AbortSignal) => AsyncIterable<object>;

/** A response as a value. */
export interface Outgoing {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookies?: readonly Cookie[];
  readonly body?: string;
  /** The error of the protocol that it carries, to be counted. */
  readonly error?: OAuthErrorCode;
  /** Instead of a body: JSON lines, sent as they come. `gone` is aborted when the client goes away. */
  readonly lines?: Lines;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Fastify path syntax: `/oauth/register/:client_id`. */
  readonly path: string;
  /** Decides how an error is written: RFC 6749 JSON, a page for a person, or RFC 9457. */
  readonly kind: 'oauth' | 'page' | 'api';
  readonly body: 'none' | 'form' | 'json';
  /** Browsers of other origins may call it (tokens travel in headers or bodies, never in cookies). */
  readonly cors?: boolean;
  /** A `Cache-Control` value; `no-store` where absent. */
  readonly cache?: string;
  handle(request: Incoming): Promise<Outgoing> | Outgoing;
}

export function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Outgoing {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) };
}

/** An answer that grows: one JSON object a line (application/x-ndjson). */
export function jsonLines(lines: Lines): Outgoing {
  return { status: 200, headers: { 'content-type': 'application/x-ndjson' }, lines };
}

export function html(status: number, text: string, cookies: readonly Cookie[] = []): Outgoing {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, cookies, body: text };
}

/** After a POST always 303, so that the browser forgets the form (RFC 9700 section 4.12). */
export function redirect(location: string, cookies: readonly Cookie[] = []): Outgoing {
  return { status: 303, headers: { location }, cookies };
}

export function empty(status: number, headers: Readonly<Record<string, string>> = {}): Outgoing {
  return { status, headers };
}
