import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client } from '../../registry/clients.ts';
import type { Resources } from '../../registry/resources.ts';
import { formatScope, intersectScopes, scopeTokens } from '../../registry/scopes.ts';
import { scopesOfClaims } from '../claims-parameter.ts';
import { checkAsk, type Entitlement } from '../entitlement.ts';

export interface ScopeParts {
  readonly issuer: string;
  readonly resources: Resources;
  readonly defaultScope: string;
}

/** What is asked for, with what the claims asked for by name need, within what the client may ask for. */
export async function checkScope(
  params: Params,
  client: Client,
  claimsJson: string | null,
  parts: ScopeParts,
): Promise<Entitlement> {
  const ceiling = client.scope === '' ? null : client.scope;
  const ask = { scope: params.get('scope'), resources: params.all('resource'), ceiling };
  const entitlement = await checkAsk({ ...ask, defaultScope: parts.defaultScope }, parts);
  const { scope } = entitlement;
  // Without a scope there is nothing to consent to (RFC 6749 section 3.3), but a resource may have none at all.
  if (scope === '' && entitlement.targets.length === 0) {
    throw new OAuthError('invalid_scope', 'The parameter scope is missing, and this client has no default.');
  }
  return { ...entitlement, scope: withClaims(scope, ceiling, claimsJson) };
}

/** Without openid there is neither an ID token nor UserInfo that could carry a claim. */
function withClaims(scope: string, ceiling: string | null, claimsJson: string | null): string {
  if (!scopeTokens(scope).includes('openid')) return scope;
  const needed = formatScope(scopesOfClaims(claimsJson));
  const allowed = ceiling === null ? needed : intersectScopes(needed, ceiling);
  return formatScope([...scopeTokens(scope), ...scopeTokens(allowed)]);
}
