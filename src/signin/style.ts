import { readFileSync } from 'node:fs';
import path from 'node:path';
import { paths } from '../flow/paths.ts';
import { empty, type Incoming, type Outgoing, type Route } from '../http/exchange.ts';
import { sha256 } from '../kernel/bytes.ts';

const css = readFileSync(path.join(import.meta.dirname, 'pages', 'style.css'), 'utf8');
const version = sha256(css).slice(0, 16);
const etag = `"${version}"`;

/** The stylesheet's address; it changes with the content, so that a browser may keep it for good. */
export const stylePath = `${paths.style}?v=${version}`;

export function styleRoutes(): readonly Route[] {
  const cache = 'public, max-age=31536000, immutable';
  return [{ method: 'GET', path: paths.style, kind: 'page', body: 'none', cache, handle: serve }];
}

function serve(request: Incoming): Outgoing {
  if (request.headers['if-none-match'] === etag) return empty(304, { etag });
  return { status: 200, headers: { 'content-type': 'text/css; charset=utf-8', etag }, body: css };
}
