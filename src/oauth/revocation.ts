import type { AuditTrail } from '../audit/trail.ts';
import { paths } from '../flow/paths.ts';
import { empty, type Incoming, type Route } from '../http/exchange.ts';
import { OAuthError } from '../http/oauth-error.ts';
import { sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Client } from '../registry/clients.ts';
import type { FamilyStore, IssuanceStore, RefreshStore } from '../store/store.ts';
import { isRefreshToken } from '../tokens/refresh-token.ts';
import type { AccessTokenReader } from './bearer.ts';
import type { ClientAuthentication } from './client-auth.ts';

export interface RevocationParts {
  readonly authentication: ClientAuthentication;
  readonly accessTokens: AccessTokenReader;
  readonly refresh: Pick<RefreshStore, 'find'>;
  readonly families: Pick<FamilyStore, 'revoke'>;
  readonly issuances: Pick<IssuanceStore, 'revoke'>;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
}

/** Token revocation (RFC 7009): a refresh token takes its whole family with it, an access token goes alone. */
export function revocationRoute(parts: RevocationParts): Route {
  return {
    method: 'POST',
    path: paths.revoke,
    kind: 'oauth',
    body: 'form',
    cors: true,
    async handle(incoming) {
      const client = await parts.authentication.authenticate(incoming);
      const token = incoming.form.get('token');
      if (token === undefined) throw new OAuthError('invalid_request', 'The parameter token is missing.');
      if (isRefreshToken(token)) await revokeRefreshToken(token, client, incoming, parts);
      else await revokeAccessToken(token, client, incoming, parts);
      // Section 2.2: whatever the token was, it is not valid now, and that is all a client wants to hear.
      return empty(200);
    },
  };
}

async function revokeRefreshToken(
  token: string,
  client: Client,
  incoming: Incoming,
  parts: RevocationParts,
): Promise<void> {
  const found = await parts.refresh.find({ token_hash: sha256(token) });
  if (!found) return;
  refuseForeign(found.family.client_id, client);
  const { outcome } = await parts.families.revoke({
    id: found.family.id,
    now: parts.clock.now(),
    reason: 'revoked_by_client',
  });
  if (outcome === 'revoked')
    await record(parts, incoming, client, found.family.user_id, { family_id: found.family.id });
}

async function revokeAccessToken(
  token: string,
  client: Client,
  incoming: Incoming,
  parts: RevocationParts,
): Promise<void> {
  const live = await parts.accessTokens.read(token);
  if (!live) return;
  refuseForeign(live.client_id, client);
  const { outcome } = await parts.issuances.revoke({ jti: live.jti, now: parts.clock.now() });
  if (outcome === 'revoked') await record(parts, incoming, client, live.user_id, { jti: live.jti });
}

/** Section 2.1: a client may revoke its own tokens only, and is told so. */
function refuseForeign(owner: string, client: Client): void {
  if (owner === client.id) return;
  throw new OAuthError('unauthorized_client', 'The token was not issued to this client.');
}

function record(
  { audit }: RevocationParts,
  { source }: Incoming,
  client: Client,
  user_id: string | null,
  detail: Readonly<Record<string, string>>,
): Promise<void> {
  return audit.record({
    action: 'token.revoked',
    actor: `client:${client.id}`,
    client_id: client.id,
    user_id,
    ip: source,
    detail,
  });
}
