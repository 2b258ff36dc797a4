import { paths } from '../../flow/paths.ts';
import { json, type Outgoing, type Route } from '../../http/exchange.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Users } from '../../identity/users.ts';
import { type Meter, silentMeter } from '../../kernel/metrics.ts';
import type { Resource, Resources } from '../../registry/resources.ts';
import { intersectScopes, scopeTokens, scopeWithin } from '../../registry/scopes.ts';
import type { AccessToken, TokenIssuer } from '../../tokens/issuer.ts';
import { idTokenClaims } from '../claims-parameter.ts';
import type { ClientAuthentication } from '../client-auth.ts';
import { type Entitlement, scopeForAudience, stillGranted } from '../entitlement.ts';
import type { OAuthSettings } from '../settings.ts';
import type { Grant, Proven, ProvenUser, TokenRequest } from './grant.ts';
import { IssuedTokens } from './issued.ts';

export interface TokenEndpointParts {
  readonly issuer: string;
  readonly settings: OAuthSettings;
  readonly authentication: ClientAuthentication;
  readonly grants: readonly Grant[];
  readonly resources: Resources;
  readonly tokens: TokenIssuer;
  readonly users: Pick<Users, 'find'>;
  readonly meter?: Meter;
}

/** The token endpoint (RFC 6749 section 3.2): the phases that every grant goes through, in this order. */
export function tokenRoute(parts: TokenEndpointParts): Route {
  const grants = new Map<string, Grant>(parts.grants.map((grant) => [grant.type, grant]));
  const { meter = silentMeter } = parts;
  const issued = new Map(parts.grants.map((grant) => [grant, new IssuedTokens(meter, grant.type)]));
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
      const left = await stillGranted(proven, client, parts);
      const audience = narrowAudience(request.form, left);
      const targets = left.targets.filter(({ uri }) => audience.includes(uri));
      const asked = narrowScope(request.form, proven, left);
      const scope = scopeForAudience(asked, audience, targets, parts.issuer);
      if (scope === '' && request.form.has('scope'))
        throw new OAuthError('invalid_scope', 'The scope asked for means nothing at the resource asked for.');
      const access = await parts.tokens.accessToken({
        client_id: client.id,
        user_id: proven.user?.id ?? null,
        family_id: proven.family_id,
        audience,
        scope,
        lifetime: accessTokenLifetime(request, proven, targets, parts.settings),
        authentication: proven.user?.authentication ?? null,
      });
      const idToken = proven.user && (await issueIdToken(request, left, proven.user, access, parts));
      const { refreshToken } = await proven.spend(access);
      issued.get(grant)?.count(refreshToken, idToken);
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
function narrowAudience(form: Params, left: Entitlement): readonly string[] {
  const asked = [...new Set(form.all('resource'))];
  if (asked.length === 0) return left.resources;
  if (asked.every((resource) => left.resources.includes(resource))) return asked;
  throw new OAuthError('invalid_target', 'The resource is not one that was granted.');
}

/** RFC 6749 section 6: the scope of one token may be narrower than the grant's, never wider. */
function narrowScope(form: Params, granted: Entitlement, left: Entitlement): string {
  const asked = form.get('scope') ?? granted.scope;
  if (!scopeWithin(asked, granted.scope))
    throw new OAuthError('invalid_scope', 'The scope asked for goes beyond what was granted.');
  const narrowed = intersectScopes(asked, left.scope);
  if (narrowed !== '' || asked === '') return narrowed;
  throw new OAuthError('invalid_scope', 'The client may not have any of this scope any more.');
}

/** The client's own lifetime, or the shortest of its resources, or the server's, in ms. */
function accessTokenLifetime(
  { client }: TokenRequest,
  proven: Proven,
  targets: readonly Resource[],
  settings: OAuthSettings,
): number {
  if (client.access_token_lifetime !== null) return client.access_token_lifetime;
  const lifetimes = targets.flatMap(({ access_token_lifetime: lifetime }) => lifetime ?? []);
  if (lifetimes.length > 0) return Math.min(...lifetimes);
  return proven.user ? settings.access_token_lifetime : settings.machine_token_lifetime;
}

/** An ID token goes with every grant that a user gave to sign in (OpenID Connect Core 3.1.3.3, 12.2). */
async function issueIdToken(
  { client }: TokenRequest,
  { scope }: Entitlement,
  user: ProvenUser,
  access: AccessToken,
  { tokens, users }: TokenEndpointParts,
): Promise<string | null> {
  if (!scopeTokens(scope).includes('openid')) return null;
  return tokens.idToken({
    client_id: client.id,
    user_id: user.id,
    session_id: user.session_id,
    nonce: user.nonce,
    authentication: user.authentication,
    accessToken: access.jwt,
    claims: await idTokenClaims(user.claims_json, scope, user.id, users),
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
