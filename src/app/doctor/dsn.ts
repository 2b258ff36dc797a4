/** What of a connection string may be shown, and what is judged. The rules of the configuration hold that it is one. */

/** `db:5432`, or the folder of the socket. */
export function hostOf(dsn: string): string {
  if (!URL.canParse(dsn)) return 'its server';
  const url = new URL(dsn);
  return url.host || url.searchParams.get('host') || 'this machine';
}

/** The password in it; undefined where there is none, as with a certificate or a trusted socket. */
export function passwordOf(dsn: string): string | undefined {
  if (!URL.canParse(dsn)) return undefined;
  return decodeURIComponent(new URL(dsn).password) || undefined;
}

/** Empty for a socket. */
export function hostnameOf(dsn: string): string {
  return URL.canParse(dsn) ? new URL(dsn).hostname : '';
}
