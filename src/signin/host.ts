import { staysOnThisMachine } from '../kernel/loopback.ts';

/**
 * Where a redirect leads, in words: the one thing about an application that it cannot make up. Loopback addresses
 * and private schemes lead to whatever listens on the person's own device (RFC 8252 section 8.6).
 */
export function hostInWords(redirectUri: string): string {
  const url = URL.parse(redirectUri);
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (!url || !isWeb || staysOnThisMachine(url.hostname)) return 'an application on this device';
  return url.host;
}
