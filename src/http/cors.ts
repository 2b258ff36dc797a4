import type { Route } from './exchange.ts';

const ALLOWED_HEADERS = 'authorization, content-type, dpop, mcp-protocol-version';
const EXPOSED_HEADERS = 'dpop-nonce, www-authenticate';

/** Two hours: the longest that Chromium keeps a preflight. */
const PREFLIGHT_SECONDS = 7200;

const EXPOSE = { 'access-control-expose-headers': EXPOSED_HEADERS };
const ANY_ORIGIN = { 'access-control-allow-origin': '*', ...EXPOSE };
/** The answer depends on the origin, so caches must keep one a origin. */
const OTHER_ORIGIN = { vary: 'origin' };

/**
 * Headers that let a page of another origin read the response. Credentials are never allowed: what browsers may call
 * takes its tokens from headers and bodies.
 * @param allowed exact origins, or `*` for any
 */
export function corsHeaders(
  origin: string | undefined,
  allowed: readonly string[],
): Readonly<Record<string, string>> {
  if (allowed.includes('*')) return ANY_ORIGIN;
  if (origin === undefined || !allowed.includes(origin)) return OTHER_ORIGIN;
  return { ...OTHER_ORIGIN, 'access-control-allow-origin': origin, ...EXPOSE };
}

/** What a preflight for a path is told on top of `corsHeaders` (Fetch standard, section 3.3). */
export function preflightHeaders(methods: readonly Route['method'][]): Readonly<Record<string, string>> {
  return {
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-headers': ALLOWED_HEADERS,
    'access-control-max-age': String(PREFLIGHT_SECONDS),
  };
}
