import { paths } from '../flow/paths.ts';
import { json, type Route } from '../http/exchange.ts';
import { OAuthError } from '../http/oauth-error.ts';
import type { Users } from '../identity/users.ts';
import { sha256 } from '../kernel/bytes.ts';
import { type Clock, seconds } from '../kernel/clock.ts';
import { type Client, isPublic } from '../registry/clients.ts';
import type { RefreshStore } from '../store/store.ts';
import { isRefreshToken } from '../tokens/refresh-token.ts';
import type { AccessTokenReader } from './bearer.ts';
import type { ClientAuthentication } from './client-auth.ts';

export interface IntrospectionParts {
  readonly issuer: string;
  readonly authentication: ClientAuthentication;
  readonly accessTokens: AccessTokenReader;
  readonly refresh: Pick<RefreshStore, 'find'>;
  readonly users: Pick<Users, 'find'>;
  readonly clock: Clock;
}

const INACTIVE = { active: false };

/**
 * Token introspection (RFC 7662). A caller learns about its own tokens and about those for a resource it serves; of all
 * others, as of nonsense, it learns that they are not active (section 2.2).
 */
export function introspectionRoute(parts: IntrospectionParts): Route {
  return {
    method: 'POST',
    path: paths.introspect,
    kind: 'oauth',
    body: 'form',
    async handle(incoming) {
      const caller = await parts.authentication.authenticate(incoming);
      if (isPublic(caller)) {
        throw new OAuthError(
          'invalid_client',
          'Introspection is for clients that can authenticate (RFC 7662 section 2.1).',
        );
      }
      const token = incoming.form.get('token');
      if (token === undefined) throw new OAuthError('invalid_request', 'The parameter token is missing.');
      // token_type_hint only speeds a search up (section 2.1); here the token itself says what it is.
      const found = isRefreshToken(token)
        ? await describeRefreshToken(token, caller, parts)
        : await describeAccessToken(token, caller, parts);
      return json(200, found ?? INACTIVE);
    },
  };
}

async function describeAccessToken(token: string, caller: Client, parts: IntrospectionParts) {
  const live = await parts.accessTokens.read(token);
  if (!live) return undefined;
  const entitled =
    live.client_id === caller.id || live.aud.some((audience) => caller.audiences.includes(audience));
  if (!entitled) return undefined;
  const user = live.user_id === null ? undefined : await parts.users.find(live.user_id);
  return {
    active: true,
    iss: parts.issuer,
    sub: live.sub,
    aud: live.aud.length === 1 ? live.aud[0] : live.aud,
    client_id: live.client_id,
    ...(live.scope !== '' && { scope: live.scope }),
    ...(user && { username: user.username }),
    token_type: 'Bearer',
    jti: live.jti,
    iat: live.iat,
    exp: live.exp,
    ...(live.auth_time !== undefined && { auth_time: live.auth_time }),
    ...(live.acr !== undefined && { acr: live.acr }),
  };
}

/** Refresh tokens are between the client and us: only their own client may ask. */
async function describeRefreshToken(
  token: string,
  caller: Client,
  { refresh, users, issuer, clock }: IntrospectionParts,
) {
  const found = await refresh.find({ token_hash: sha256(token) });
  if (!found || found.family.client_id !== caller.id) return undefined;
  const { token: record, family } = found;
  const now = clock.now();
  const exp = Math.min(record.expires_at, family.expires_at);
  if (record.spent_at !== null || family.revoked_at !== null || exp <= now) return undefined;
  const user = await users.find(family.user_id);
  if (user?.status !== 'active') return undefined;
  return {
    active: true,
    iss: issuer,
    sub: family.user_id,
    client_id: family.client_id,
    ...(family.scope !== '' && { scope: family.scope }),
    username: user.username,
    token_type: 'refresh_token',
    iat: seconds(record.created_at),
    exp: seconds(exp),
    auth_time: seconds(family.auth_time),
    acr: family.acr,
  };
}
