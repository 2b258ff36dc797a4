/** A cookie to set. Always HttpOnly, Path=/; Secure whenever the issuer is https. */
export interface Cookie {
  /** Without prefix: `session` becomes `__Host-authserver_session` on https, `authserver_session` on plain http. */
  readonly name: string;
  readonly value: string;
  /** Seconds; 0 deletes it; absent: until the browser closes. */
  readonly maxAge?: number;
  readonly sameSite?: 'lax' | 'strict' | 'none';
}

const OURS = 'authserver_';

/** RFC 6265 section 4.1.1: `token` and `cookie-octet`. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/;

/** The name on the wire. `__Host-` binds a cookie to this host, to https and to the whole site (RFC 6265bis 4.1.3.2). */
export function cookieName(name: string, secure: boolean): string {
  return prefix(secure) + name;
}

/** A `Set-Cookie` value. Throws on a name or a value that no cookie can carry: they are ours, so that is a bug. */
export function serializeCookie(cookie: Cookie, secure: boolean): string {
  if (!NAME.test(cookie.name) || !VALUE.test(cookie.value)) {
    throw new TypeError(
      `cookie ${JSON.stringify(cookie.name)} has a name or a value that a cookie cannot carry`,
    );
  }
  let text = `${cookieName(cookie.name, secure)}=${cookie.value}; Path=/; HttpOnly; SameSite=${sameSite(cookie, secure)}`;
  if (secure) text += '; Secure';
  if (cookie.maxAge !== undefined) text += `; Max-Age=${cookie.maxAge}`;
  return text;
}

/**
 * Our cookies of a `Cookie` header, by their name without prefix. On https only `__Host-` ones count: a neighbour on a
 * sibling domain or on plain http can set any other. The first of two equal names wins. Never throws.
 */
export function parseCookies(header: string | undefined, secure: boolean): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>();
  if (!header) return cookies;
  const start = prefix(secure);
  for (const part of header.split(';')) {
    const pair = part.trim();
    const equals = pair.indexOf('=');
    if (equals <= start.length || !pair.startsWith(start)) continue;
    const name = pair.slice(start.length, equals);
    if (!cookies.has(name)) cookies.set(name, pair.slice(equals + 1));
  }
  return cookies;
}

function prefix(secure: boolean): string {
  return secure ? `__Host-${OURS}` : OURS;
}

/** Browsers drop `SameSite=None` without `Secure`; on plain http `Lax` is the nearest thing that works. */
function sameSite(cookie: Cookie, secure: boolean): string {
  if (cookie.sameSite === 'strict') return 'Strict';
  return cookie.sameSite === 'none' && secure ? 'None' : 'Lax';
}
