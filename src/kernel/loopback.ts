/** The host, as a URL parser writes it, is one that a native app listens on (RFC 8252 section 7.3), or `localhost`. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === '127.0.0.1' || hostname === '[::1]' || hostname === 'localhost';
}

/** Wider: whatever never leaves this machine, all of 127.0.0.0/8 and the names below `localhost` (RFC 6761 section 6.3). */
export function staysOnThisMachine(hostname: string): boolean {
  return isLoopbackHost(hostname) || hostname.endsWith('.localhost') || /^127(\.\d{1,3}){3}$/.test(hostname);
}
