/** Where things are, below the issuer's path. Pages and protocol meet by these names only. */
export const paths = {
  home: '/',
  authorize: '/oauth/authorize',
  resume: '/oauth/authorize/resume',
  token: '/oauth/token',
  introspect: '/oauth/introspect',
  revoke: '/oauth/revoke',
  register: '/oauth/register',
  userinfo: '/oauth/userinfo',
  endSession: '/oauth/logout',
  jwks: '/.well-known/jwks.json',
  openidConfiguration: '/.well-known/openid-configuration',
  signIn: '/signin',
  consent: '/consent',
  signOut: '/signout',
  account: '/account',
  style: '/assets/style.css',
} as const;

/** The address of a page that goes on with a stored request. */
export function withRequest(prefix: string, path: string, handle: string): string {
  return `${prefix}${path}?request=${encodeURIComponent(handle)}`;
}
