/** Scope algebra (RFC 6749 section 3.3): a scope is a set of tokens, written space separated in a stable order. */

/** scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** What the server itself gives meaning to (OpenID Connect Core 5.4, 11). */
export const openidScopes: Readonly<Record<string, string>> = {
  openid: 'Know who you are',
  profile: 'See your name and profile',
  email: 'See your e-mail address',
  offline_access: 'Keep its access after you sign out',
};

/** Scopes of OpenID Connect Core 5.4 for claims that users do not have here. */
export const ignoredScopes: readonly string[] = ['address', 'phone'];

/** The tokens of a scope, each once, in the order given; undefined when the text is not a scope. */
export function parseScope(text: string): readonly string[] | undefined {
  if (text === '') return [];
  const tokens = text.split(' ');
  return tokens.every((token) => SCOPE_TOKEN.test(token)) ? [...new Set(tokens)] : undefined;
}

/** The tokens of a scope that we stored ourselves. */
export function scopeTokens(scope: string): readonly string[] {
  return scope === '' ? [] : scope.split(' ');
}

export function formatScope(tokens: Iterable<string>): string {
  return [...new Set(tokens)].join(' ');
}

/** Is every token of `part` in `whole`? */
export function scopeWithin(part: string, whole: string): boolean {
  if (part === whole) return true;
  const all = new Set(scopeTokens(whole));
  return scopeTokens(part).every((token) => all.has(token));
}

/** The tokens of `scope` that are in `bounds` too, in the order of `scope`. */
export function intersectScopes(scope: string, bounds: string): string {
  const all = new Set(scopeTokens(bounds));
  return formatScope(scopeTokens(scope).filter((token) => all.has(token)));
}

/** The tokens of `scope` that are not in `other`. */
export function subtractScopes(scope: string, other: string): string {
  const gone = new Set(scopeTokens(other));
  return formatScope(scopeTokens(scope).filter((token) => !gone.has(token)));
}
