// Owns what a clear answer is: never our fault, never empty, in the shape of the route's kind, and silent about the inside.

import type { Route } from '../../src/http/exchange.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Words that only the inside knows: stacks, files, statements, drivers, classes of errors. */
const INSIDE =
  /\n\s+at |\bnode:internal|node_modules|\w\.ts\b|file:\/\/|\b(SQLITE|sqlite|PostgreSQL)\b|\b(select|SELECT) .+ (from|FROM) |\b(insert into|INSERT INTO) |duplicate key|violates|relation "|\bECONN[A-Z]+|\b(Type|Range|Syntax|Reference)Error\b|\bFST_ERR|\bZodError/;

const OAUTH_TEXT = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/;

/** Why the answer is not clear; undefined when it is. `kinds` are the shapes in which an error may come. */
export function unclear(reply: Reply, method: string, kinds: readonly Route['kind'][]): string | undefined {
  const { status, headers, body } = reply;
  if (status < 200 || status >= 500) return `the status is ${status}`;
  const isJson = String(headers['content-type']).includes('json');
  const tells = status >= 400 || !isJson;
  const inside = tells && (INSIDE.exec(body) ?? INSIDE.exec(JSON.stringify(headers)));
  if (inside) return `the answer shows the inside: ${inside[0]}`;
  if (!isJson && body.includes('<script>alert')) return 'the answer repeats a script';
  const hasBody = method !== 'HEAD';
  if (status < 300) return hasBody ? successFault(reply) : undefined;
  if (status < 400) return typeof headers['location'] === 'string' ? undefined : 'the redirect leads nowhere';
  if (!hasBody) return undefined;
  const faults = kinds.map((kind) => errorFault(kind, reply));
  return faults.includes(undefined) ? undefined : faults.join('; ');
}

function successFault({ headers, body }: Reply): string | undefined {
  const type = String(headers['content-type'] ?? '');
  if (type === 'application/x-ndjson') return linesFault(body);
  if (type.includes('json')) return isObject(parsed(body)) ? undefined : 'the success is not a JSON object';
  return undefined;
}

/** What a verb that takes its time tells: how far it is, and in the last line what came of it. */
function linesFault(body: string): string | undefined {
  const lines = body.trimEnd().split('\n').map(parsed);
  if (!lines.every(isObject)) return 'the success is not JSON lines';
  const { report, failure } = lines.at(-1) as Json;
  if (!isObject(failure)) return isObject(report) ? undefined : 'nothing came of it';
  if (failure['code'] === 'internal') return 'it failed, and the fault is ours';
  const isShaped = [failure['code'], failure['detail']].every((member) => typeof member === 'string');
  return isShaped ? undefined : 'the failure tells nothing';
}

function errorFault(kind: Route['kind'], reply: Reply): string | undefined {
  const type = String(reply.headers['content-type'] ?? '');
  if (kind === 'page') {
    const isPage =
      type === 'text/html; charset=utf-8' && /<html lang="en">.*<title>.+<\/title>.*<h1/s.test(reply.body);
    return isPage ? undefined : `not an error page, but ${type}`;
  }
  const json = parsed(reply.body);
  if (!isObject(json)) return `not a JSON object, but ${type}`;
  return kind === 'oauth' ? oauthFault(type, json) : problemFault(type, json, reply.status);
}

/** RFC 6749 section 5.2 */
function oauthFault(type: string, { error, error_description }: Json): string | undefined {
  const isShaped =
    type === 'application/json' &&
    OAUTH_TEXT.test(String(error)) &&
    OAUTH_TEXT.test(String(error_description));
  return isShaped ? undefined : 'not an error of OAuth';
}

/** RFC 9457 section 3 */
function problemFault(type: string, { status, title, detail, code }: Json, sent: number): string | undefined {
  const isShaped =
    type === 'application/problem+json' &&
    status === sent &&
    [title, detail, code].every((member) => typeof member === 'string' && member !== '');
  return isShaped ? undefined : 'not problem details';
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
