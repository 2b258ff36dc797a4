import { once } from 'node:events';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { type Cookie, serializeCookie } from './cookies.ts';
import type { Lines, Outgoing } from './exchange.ts';

export interface Frame {
  /** Headers that the response's own are laid over; names in lower case. */
  readonly defaults: Readonly<Record<string, string>>;
  readonly cors: Readonly<Record<string, string>> | undefined;
  readonly secure: boolean;
  /** The connection ends with this response. */
  readonly close: boolean;
}

/**
 * Writes a response. It goes past Fastify's reply, which would add a charset to `application/json` (RFC 8259 section 11
 * has none) and look at every body once more. Throws, with nothing written, when a header cannot be sent.
 */
export function writeReply(reply: FastifyReply, outgoing: Outgoing, frame: Frame): void {
  const headers: OutgoingHttpHeaders = { ...frame.defaults, ...frame.cors };
  for (const name in outgoing.headers) headers[name.toLowerCase()] = outgoing.headers[name];
  if (outgoing.cookies?.length) headers['set-cookie'] = setCookies(outgoing.cookies, frame.secure);
  if (frame.close) headers['connection'] = 'close';
  if (outgoing.lines !== undefined) {
    reply.hijack();
    reply.raw.writeHead(outgoing.status, headers);
    void writeLines(reply.raw, outgoing.lines);
    return;
  }
  const body = outgoing.body ?? '';
  if (outgoing.status !== 204 && outgoing.status !== 304) headers['content-length'] = Buffer.byteLength(body);
  reply.hijack();
  reply.raw.writeHead(outgoing.status, headers);
  reply.raw.end(body);
}

/** Sends each line when it is there, no sooner than the client takes it. */
async function writeLines(raw: ServerResponse, lines: Lines): Promise<void> {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  for await (const line of lines(gone.signal)) {
    if (raw.write(`${JSON.stringify(line)}\n`) || gone.signal.aborted) continue;
    await once(raw, 'drain', { signal: gone.signal }).catch(() => undefined);
  }
  raw.end();
}

function setCookies(cookies: readonly Cookie[], secure: boolean): string[] {
  return cookies.map((cookie) => serializeCookie(cookie, secure));
}
