/** Redirect URIs: which may be registered, and which one asked for is the one registered (RFC 6749 section 3.1.2, RFC 8252). */
import { isLoopbackHost } from '../kernel/loopback.ts';

type ApplicationType = 'web' | 'native' | 'service';

const LONGEST = 2048;

/** RFC 3986 section 2: unreserved, reserved, and `%` before two hexadecimal digits; nothing else makes a URI. */
const URI_CHARACTERS = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;

const HTTP = /^(https?):\/\/([^/?]*)/;

/** The host without the port; the port may be absent, never empty. */
const AUTHORITY = /^(.*?)(?::\d{1,5})?$/;

/** RFC 8252 section 7.1: a scheme that is a reversed domain name, so that it belongs to somebody. */
const PRIVATE_USE_SCHEME = /^[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:/;

/** A path segment `.` or `..`, plain or encoded: browsers resolve it, so what is compared is not what is visited. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?=[/?]|$)/i;

/** An http URI on a loopback literal up to its path; the port is the only part that a match may let differ. */
const LOOPBACK_LITERAL = /^http:\/\/(127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?(?=[/?]|$)/;

/** Why this cannot be registered as a redirect URI, as the end of a sentence; undefined when it can. */
export function redirectUriFault(uri: string, applicationType: ApplicationType): string | undefined {
  if (uri === '') return 'must not be empty';
  if (uri.length > LONGEST) return `must not be longer than ${LONGEST} characters`;
  if (!URI_CHARACTERS.test(uri)) return 'has a character that a URI cannot have (RFC 3986)';
  if (uri.includes('#')) return 'must not have a fragment';
  if (uri.includes('*')) return 'must not have a wildcard: register each URI in full';
  if (!URL.canParse(uri)) return 'must be an absolute URI';
  if (DOT_SEGMENT.test(uri.split('?', 1)[0] as string)) return 'must not have dot segments in its path';

  const http = HTTP.exec(uri);
  if (http) return httpFault(http[1] as string, http[2] as string, new URL(uri).hostname);
  if (!PRIVATE_USE_SCHEME.test(uri)) {
    return 'must be https, http on a loopback address, or (native) a private-use scheme with a dot such as com.example.app';
  }
  if (applicationType !== 'native') return 'has a private-use scheme, which needs application_type native';
  return undefined;
}

/** @param shown the host as a URL parser reads it */
function httpFault(scheme: string, authority: string, shown: string): string | undefined {
  if (authority.includes('@')) return 'must not have user information';
  const host = AUTHORITY.exec(authority)?.[1] as string;
  // `127.1`, `0x7f.1`, `[0::1]` or an upper-case name are other spellings of a host; only the one browsers show is taken.
  if (host !== shown) return `must write its host as ${shown}`;
  if (scheme === 'http' && !isLoopbackHost(host)) {
    return 'must be https; http is for 127.0.0.1, [::1] and localhost only';
  }
  return undefined;
}

/**
 * Is the URI asked for the one that was registered? Byte for byte, but for the port of an http URI on 127.0.0.1 or [::1],
 * which a native app only learns when it starts to listen (RFC 8252 section 7.3, OAuth 2.1 section 8.4.2). `localhost`
 * gets no such leave: it is a name, which may resolve to something else (RFC 8252 section 8.3); its port is registered.
 */
export function matchesRedirectUri(registered: string, asked: string): boolean {
  if (asked === registered) return true;
  const known = LOOPBACK_LITERAL.exec(registered);
  const other = LOOPBACK_LITERAL.exec(asked);
  if (!known || !other || known[1] !== other[1]) return false;
  const port = Number(other[2] ?? '80');
  if (port < 1 || port > 65_535) return false;
  return registered.slice(known[0].length) === asked.slice(other[0].length);
}
