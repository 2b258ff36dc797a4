import { paths } from '../flow/paths.ts';
import { type Incoming, json, type Outgoing, type Route } from '../http/exchange.ts';
import { claimsFor } from '../identity/claims.ts';
import type { Users } from '../identity/users.ts';
import { scopeTokens } from '../registry/scopes.ts';
import { type AccessTokenReader, bearerError, bearerToken } from './bearer.ts';

export interface UserInfoParts {
  readonly issuer: string;
  readonly accessTokens: AccessTokenReader;
  readonly users: Pick<Users, 'find'>;
}

/** UserInfo (OpenID Connect Core 5.3), by GET and by POST. */
export function userInfoRoutes(parts: UserInfoParts): readonly Route[] {
  const route = {
    path: paths.userinfo,
    kind: 'oauth' as const,
    cors: true,
    handle: (incoming: Incoming) => userInfo(incoming, parts),
  };
  return [
    { ...route, method: 'GET', body: 'none' },
    { ...route, method: 'POST', body: 'form' },
  ];
}

async function userInfo(incoming: Incoming, parts: UserInfoParts): Promise<Outgoing> {
  const live = await parts.accessTokens.read(bearerToken(incoming));
  // A token for some resource alone was not made to be shown here (RFC 9068 section 4).
  if (!live?.aud.includes(parts.issuer))
    throw bearerError('invalid_token', 'The access token is not valid here.');
  const scopes = scopeTokens(live.scope);
  if (live.user_id === null || !scopes.includes('openid')) {
    throw bearerError('insufficient_scope', 'The access token lacks the scope openid.', { scope: 'openid' });
  }
  const user = await parts.users.find(live.user_id);
  if (!user) throw bearerError('invalid_token', 'The access token is not valid here.');
  return json(200, claimsFor(user, scopes));
}
