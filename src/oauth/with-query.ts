/** Adds parameters to a URI that may have a query already, without touching a byte of it (RFC 6749 section 3.1.2). */
export function withQuery(uri: string, parameters: Readonly<Record<string, string>>): string {
  const separator = !uri.includes('?') ? '?' : /[?&]$/.test(uri) ? '' : '&';
  return `${uri}${separator}${new URLSearchParams(parameters)}`;
}
