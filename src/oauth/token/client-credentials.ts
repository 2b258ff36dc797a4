import { OAuthError } from '../../http/oauth-error.ts';
import { isPublic } from '../../registry/clients.ts';
import type { Resource, Resources } from '../../registry/resources.ts';
import { formatScope, openidScopes, scopeTokens, subtractScopes } from '../../registry/scopes.ts';
import type { IssuanceStore } from '../../store/store.ts';
import { checkAsk } from '../entitlement.ts';
import type { Grant } from './grant.ts';

export interface ClientCredentialsParts {
  readonly issuer: string;
  readonly resources: Resources;
  readonly issuances: IssuanceStore;
}

/** OpenID Connect's scopes speak of a user, and here there is none. */
const OF_USERS = formatScope(Object.keys(openidScopes));

/** The client credentials grant (RFC 6749 section 4.4): a client acts for itself. */
export function clientCredentialsGrant(parts: ClientCredentialsParts): Grant {
  return {
    type: 'client_credentials',
    async prove({ client, form }) {
      // RFC 6749 section 4.4: only clients that can prove who they are.
      if (isPublic(client))
        throw new OAuthError('unauthorized_client', 'A public client cannot act for itself.');
      // No user consents here, so a client gets what an administrator gave it and nothing else.
      const ceiling = subtractScopes(client.scope, OF_USERS);
      const named = form.all('resource');
      const { scope, resources, targets } = await checkAsk(
        { scope: form.get('scope'), resources: named, defaultScope: ceiling, ceiling },
        parts,
      );
      refuseUselessAudiences(named, scope, targets);
      return {
        user: null,
        scope,
        resources,
        family_id: null,
        async spend(access) {
          await parts.issuances.record({ issuance: access.issuance });
          return { refreshToken: null };
        },
      };
    },
  };
}

/** A token for a place at which the client may do nothing would still open what only looks at the audience. */
function refuseUselessAudiences(named: readonly string[], scope: string, targets: readonly Resource[]): void {
  const granted = new Set(scopeTokens(scope));
  for (const uri of named) {
    const target = targets.find((resource) => resource.uri === uri);
    if (target?.scopes.some(({ name }) => granted.has(name))) continue;
    throw new OAuthError('invalid_target', 'The client has no scope at this resource.', {
      detail: `resource ${uri}`,
      hint: 'Give the client a scope of the resource: `authserver admin client update`.',
    });
  }
}
