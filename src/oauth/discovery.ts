import { paths } from '../flow/paths.ts';
import { json, type Outgoing, type Route } from '../http/exchange.ts';
import { claimsByScope } from '../identity/claims.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Resources } from '../registry/resources.ts';
import { openidScopes } from '../registry/scopes.ts';
import { ASSERTION_ALGORITHMS } from './client-assertion.ts';
import type { OAuthSettings } from './settings.ts';

export interface DiscoveryParts {
  readonly issuer: string;
  readonly settings: OAuthSettings;
  readonly keyring: Pick<Keyring, 'jwks' | 'jwksMaxAge'>;
  readonly resources: Pick<Resources, 'list'>;
}

/** How long, s, clients may keep the metadata. Short: a new resource's scopes should be seen soon. */
const METADATA_MAX_AGE = 300;

const SECRET_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'];

/** Below the issuer's path: OpenID Connect Discovery 1.0 section 4, and the keys. */
export function discoveryRoutes(parts: DiscoveryParts): readonly Route[] {
  return [
    metadataRoute(paths.openidConfiguration, parts),
    {
      method: 'GET',
      path: paths.jwks,
      kind: 'oauth',
      body: 'none',
      cors: true,
      // A key signs only after it has been published for this long, so nobody who obeys it ever meets an unknown kid.
      cache: `public, max-age=${Math.floor(parts.keyring.jwksMaxAge / 1000)}`,
      handle: () => json(200, parts.keyring.jwks(), { 'content-type': 'application/jwk-set+json' }),
    },
  ];
}

/**
 * At the root of the host: the well-known name comes before the issuer's path (RFC 8414 section 3.1). OpenID Connect's
 * name is served the same way too (RFC 8414 section 5), which clients of both kinds try.
 */
export function rootDiscoveryRoutes(prefix: string, parts: DiscoveryParts): readonly Route[] {
  const authorizationServer = metadataRoute(`/.well-known/oauth-authorization-server${prefix}`, parts);
  if (prefix === '') return [authorizationServer];
  return [authorizationServer, metadataRoute(`${paths.openidConfiguration}${prefix}`, parts)];
}

function metadataRoute(path: string, parts: DiscoveryParts): Route {
  return {
    method: 'GET',
    path,
    kind: 'oauth',
    body: 'none',
    cors: true,
    cache: `public, max-age=${METADATA_MAX_AGE}`,
    handle: () => metadata(parts),
  };
}

/** One document for OAuth (RFC 8414 section 2) and OpenID Connect (Discovery 1.0 section 3). */
async function metadata({ issuer, settings, keyring, resources }: DiscoveryParts): Promise<Outgoing> {
  const catalogue = (await resources.list()).flatMap(({ scopes }) => scopes.map(({ name }) => name));
  const at = (path: string) => `${issuer}${path}`;
  return json(200, {
    issuer,
    authorization_endpoint: at(paths.authorize),
    token_endpoint: at(paths.token),
    userinfo_endpoint: at(paths.userinfo),
    jwks_uri: at(paths.jwks),
    introspection_endpoint: at(paths.introspect),
    revocation_endpoint: at(paths.revoke),
    end_session_endpoint: at(paths.endSession),
    // Not announced where nobody can register: a client that tried would only be refused.
    ...(settings.registration.mode !== 'admin_only' && { registration_endpoint: at(paths.register) }),
    scopes_supported: [...new Set([...Object.keys(openidScopes), ...catalogue])],
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'form_post'],
    grant_types_supported: settings.grant_types,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', ...SECRET_METHODS],
    token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    introspection_endpoint_auth_methods_supported: SECRET_METHODS,
    introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    revocation_endpoint_auth_methods_supported: ['none', ...SECRET_METHODS],
    revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    subject_types_supported: ['public'],
    // All that a published key may have signed with: more than one while the algorithm changes.
    id_token_signing_alg_values_supported: [...new Set(keyring.jwks().keys.map(({ alg }) => alg))],
    claim_types_supported: ['normal'],
    claims_supported: ['sub', ...Object.values(claimsByScope).flat(), 'auth_time', 'acr', 'amr'],
    claims_parameter_supported: true,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
    prompt_values_supported: ['none', 'login', 'consent', 'select_account'],
    authorization_response_iss_parameter_supported: true,
  });
}
