import { paths } from '../../flow/paths.ts';
import { json, type Outgoing, type Route } from '../../http/exchange.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Users } from '../../identity/users.ts';
import type { Resources } from '../../registry/resources.ts';
import { scopeTokens, scopeWithin } from '../../registry/scopes.ts';
import type { AccessToken, TokenIssuer } from '../../tokens/issuer.ts';
import { idTokenClaims } from '../claims-parameter.ts';
import type { ClientAuthentication } from '../client-auth.ts';
import { scopeForAudience } from '../entitlement.ts';
import type { OAuthSettings } from '../settings.ts';
import type { Grant, Proven, ProvenUser, TokenRequest } from './grant.ts';

export interface TokenEndpointParts {
  readonly issuer: string;
  readonly settings: OAuthSettings;
  readonly authentication: ClientAuthentication;
  readonly grants: readonly Grant[];
  readonly resources: Resources;
  readonly tokens: TokenIssuer;
  readonly users: Pick<Users, 'find'>;
}

/** The token endpoint (RFC 6749 section 3.2): the phases that every grant goes through, in this order. */
export function tokenRoute(parts: TokenEndpointParts): Route {
  const grants = new Map<string, Grant>(parts.grants.map((grant) => [grant.type, grant]));
  return {
    method: 'POST',
    path: paths.token,
    kind: 'oauth',
    body: 'form',
    cors: true,
    async handle(incoming) {
      const client = await parts.authentication.authenticate(incoming);
      const request: TokenRequest = { client, form: incoming.form, source: incoming.source };
      const grant = chooseGrant(request, grants);
      const proven = await grant.prove(request);
      const audience = narrowAudience(request.form, proven);
      const scope = await narrowScope(request.form, proven, audience, parts);
      const access = await parts.tokens.accessToken({
        client_id: client.id,
        user_id: proven.user?.id ?? null,
        family_id: proven.family_id,
        audience,
        scope,
        lifetime: await accessTokenLifetime(request, proven, audience, parts),
        authentication: proven.user?.authentication ?? null,
      });
      const idToken = proven.user && (await issueIdToken(request, proven, proven.user, access, parts));
      const { refreshToken } = await proven.spend(access);
      return answer(access, scope, idToken, refreshToken);
    },
  };
}

function chooseGrant({ form, client }: TokenRequest, grants: ReadonlyMap<string, Grant>): Grant {
  const type = form.get('grant_type');
  if (type === undefined) throw new OAuthError('invalid_request', 'The parameter grant_type is missing.');
  const grant = grants.get(type);
  if (!grant) throw new OAuthError('unsupported_grant_type', 'This grant type is not available here.');
  if (!client.grant_types.includes(grant.type)) {
    throw new OAuthError(
      'unauthorized_client',
      `The client is not registered for the grant type ${grant.type}.`,
    );
  }
  return grant;
}

/** RFC 8707 section 2.2: a token may be asked for some of the resources granted, never for another one. */
function narrowAudience(form: Params, proven: Proven): readonly string[] {
  const asked = [...new Set(form.all('resource'))];
  if (asked.length === 0) return proven.resources;
  if (asked.every((resource) => proven.resources.includes(resource))) return asked;
  throw new OAuthError('invalid_target', 'The resource is not one that was granted.');
}

/** RFC 6749 section 6: the scope of one token may be narrower than the grant's, never wider. */
async function narrowScope(
  form: Params,
  proven: Proven,
  audience: readonly string[],
  parts: TokenEndpointParts,
): Promise<string> {
  const asked = form.get('scope') ?? proven.scope;
  if (!scopeWithin(asked, proven.scope)) {
    throw new OAuthError('invalid_scope', 'The scope asked for goes beyond what was granted.');
  }
  return scopeForAudience(asked, audience, parts);
}

/** The client's own lifetime, or the shortest of its resources, or the server's, in ms. */
async function accessTokenLifetime(
  { client }: TokenRequest,
  proven: Proven,
  audience: readonly string[],
  { settings, resources, issuer }: TokenEndpointParts,
): Promise<number> {
  if (client.access_token_lifetime !== null) return client.access_token_lifetime;
  let shortest = proven.user ? settings.access_token_lifetime : settings.machine_token_lifetime;
  let ofResource: number | undefined;
  for (const uri of audience) {
    if (uri === issuer) continue;
    const lifetime = (await resources.find(uri))?.access_token_lifetime ?? undefined;
    if (lifetime !== undefined) ofResource = Math.min(ofResource ?? lifetime, lifetime);
  }
  if (ofResource !== undefined) shortest = ofResource;
  return shortest;
}

/** An ID token goes with every grant that a user gave to sign in (OpenID Connect Core 3.1.3.3, 12.2). */
async function issueIdToken(
  { client }: TokenRequest,
  proven: Proven,
  user: ProvenUser,
  access: AccessToken,
  { tokens, users }: TokenEndpointParts,
): Promise<string | null> {
  if (!scopeTokens(proven.scope).includes('openid')) return null;
  return tokens.idToken({
    client_id: client.id,
    user_id: user.id,
    session_id: user.session_id,
    nonce: user.nonce,
    authentication: user.authentication,
    accessToken: access.jwt,
    claims: await idTokenClaims(user.claims_json, proven.scope, user.id, users),
  });
}

function answer(
  access: AccessToken,
  scope: string,
  idToken: string | null,
  refreshToken: string | null,
): Outgoing {
  return json(200, {
    access_token: access.jwt,
    token_type: 'Bearer',
    expires_in: access.expiresIn,
    ...(scope !== '' && { scope }),
    ...(refreshToken !== null && { refresh_token: refreshToken }),
    ...(idToken !== null && { id_token: idToken }),
  });
}
