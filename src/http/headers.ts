import type { Route } from './exchange.ts';

/** A year, as long as browsers keep it; only sent where the issuer is https. */
const HSTS = 'max-age=31536000';

const DATA_CSP = "default-src 'none'; frame-ancestors 'none'";

/**
 * Content-Security-Policy of a page: no script, no frame, nothing from elsewhere but a client's logo.
 * Browsers apply `form-action` to the redirects that follow a POST too, so a page whose form ends at a client must name
 * that client's `redirectUri` here, or its answer never leaves this server.
 */
export function pageCsp(options: { readonly redirectUri?: string } = {}): string {
  const target = options.redirectUri === undefined ? '' : formTarget(options.redirectUri);
  return (
    "default-src 'none'; style-src 'self'; img-src 'self' https: data:; " +
    `form-action 'self'${target && ` ${target}`}; frame-ancestors 'none'; base-uri 'none'`
  );
}

/** The CSP source that covers a redirect URI; empty when it is no URI. */
function formTarget(redirectUri: string): string {
  const url = URL.parse(redirectUri);
  if (!url) return '';
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:';
  // The grammar of CSP knows no IPv6 literals and no private schemes with a host: there the scheme is the closest fit.
  return isWeb && !url.hostname.startsWith('[') ? url.origin : url.protocol;
}

/** What every response carries before its own headers are laid over it; names in lower case. */
export function defaultHeaders(
  route: Pick<Route, 'kind' | 'cache'>,
  secure: boolean,
): Readonly<Record<string, string>> {
  const cache = route.cache ?? 'no-store';
  return {
    'content-security-policy': route.kind === 'page' ? pageCsp() : DATA_CSP,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cache-control': cache,
    // RFC 6749 section 5.1 asks for both.
    ...(route.kind === 'oauth' && cache === 'no-store' && { pragma: 'no-cache' }),
    ...(secure && { 'strict-transport-security': HSTS }),
  };
}
