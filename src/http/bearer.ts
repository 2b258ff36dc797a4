/**
 * What follows the scheme `Bearer` in an Authorization header (RFC 6750 section 2.1); undefined where there is none. The
 * scheme's name is case-insensitive (RFC 9110 section 11.1).
 */
export function bearerCredentials(header: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}
