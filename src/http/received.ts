import { isIPv4, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { fromUtf8 } from '../kernel/bytes.ts';
import { Failure } from '../kernel/errors.ts';
import { parseCookies } from './cookies.ts';
import { HttpFailure } from './errors.ts';
import type { Incoming, Route } from './exchange.ts';
import { parseForm, parseQuery } from './form.ts';
import { noParams, type Params } from './params.ts';

const NO_PARAMS: Incoming['params'] = {};

/** Far deeper than anything we read. What is deeper still could be parsed, but not written again. */
const MAX_DEPTH = 32;

/** A request as Fastify received it. What few handlers ask for is only worked out when they do. */
export class Received implements Incoming {
  readonly id: string;
  readonly method: string;
  readonly via: Incoming['via'];
  query: Params = noParams;
  form: Params = noParams;
  json: unknown = undefined;
  readonly #request: FastifyRequest;
  readonly #secure: boolean;

  constructor(request: FastifyRequest, options: { readonly secure: boolean; readonly via: Incoming['via'] }) {
    this.id = request.id;
    this.method = request.method;
    this.via = options.via;
    this.#request = request;
    this.#secure = options.secure;
  }

  /** Parses what the route takes. Throws Failure `invalid_input` or HttpFailure 415. */
  parse(body: Route['body']): void {
    checkPath(this.params);
    const url = this.#request.raw.url ?? '';
    const mark = url.indexOf('?');
    if (mark !== -1) this.query = parseQuery(url.slice(mark + 1));

    const bytes = this.#request.body as Buffer | undefined;
    if (body === 'none' || bytes === undefined || bytes.length === 0) return;
    const contentType = mediaType(this.headers['content-type']);
    if (body === 'form') this.form = readForm(contentType, bytes);
    else this.json = readJson(contentType, bytes);
  }

  get params(): Incoming['params'] {
    return (this.#request.params as Incoming['params'] | null) ?? NO_PARAMS;
  }

  get path(): string {
    const path = (this.#request.raw.url ?? '/').split('?', 1)[0] as string;
    // RFC 9112 section 3.2.2: a server also takes the absolute form, and must not believe the host in it.
    return path.startsWith('/') ? path : path.replace(/^[a-z]+:\/\/[^/]*/i, '') || '/';
  }

  get headers(): Incoming['headers'] {
    // Node joins repeated headers into one string, all but `set-cookie`, which no request has a use for.
    return this.#request.raw.headers as Incoming['headers'];
  }

  get cookies(): ReadonlyMap<string, string> {
    return parseCookies(this.#request.raw.headers.cookie, this.#secure);
  }

  get source(): string {
    // `ip` has walked back through the trusted proxies; one of them may still have passed on what is no address.
    return address(this.#request.ip) ?? address(this.#request.socket.remoteAddress) ?? 'local';
  }
}

/** IPv4 stays itself when it comes to a listener for both kinds. */
function address(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const plain = text.startsWith('::ffff:') && isIPv4(text.slice(7)) ? text.slice(7) : text;
  return isIPv4(plain) || isIPv6(plain) ? plain : undefined;
}

function checkPath(params: Incoming['params']): void {
  for (const name in params) {
    if (params[name]?.includes('\0'))
      throw new Failure('invalid_input', 'The address contains the character U+0000.');
  }
}

function mediaType(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

function readForm(contentType: string, bytes: Buffer): Params {
  if (contentType !== 'application/x-www-form-urlencoded') {
    throw wrongType('application/x-www-form-urlencoded', contentType);
  }
  return parseForm(bytes);
}

function readJson(contentType: string, bytes: Buffer): unknown {
  if (contentType !== 'application/json' && !contentType.endsWith('+json')) {
    throw wrongType('application/json', contentType);
  }
  const text = fromUtf8(bytes);
  if (text === undefined) throw new Failure('invalid_input', 'The body is not UTF-8.');
  if (text.includes('\\u0000')) throw new Failure('invalid_input', 'The body contains the character U+0000.');
  const value = parsed(text);
  if (isDeeperThan(MAX_DEPTH, value)) {
    throw new Failure('invalid_input', `The body has more than ${MAX_DEPTH} levels of lists and objects.`);
  }
  return value;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Failure('invalid_input', 'The body is not JSON.', { cause });
  }
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeperThan(levels - 1, member));
}

function wrongType(wanted: string, got: string): HttpFailure {
  return new HttpFailure(415, `The body must be sent as ${wanted}.`, {
    detail: `content type ${JSON.stringify(got.slice(0, 100))}`,
    hint: `Set the header Content-Type: ${wanted}.`,
  });
}
