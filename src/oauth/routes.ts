/**
 * oauth: the protocol, one file an endpoint. It owns what OAuth 2.1 and OpenID Connect say on the wire; it must not know how
 * a person signs in (signin/), how rows are kept (store/ behind its interfaces) or which framework serves it.
 */
import type { AuditTrail } from '../audit/trail.ts';
import { paths } from '../flow/paths.ts';
import type { AuthorizationRequests } from '../flow/requests.ts';
import type { Route } from '../http/exchange.ts';
import type { Sessions } from '../identity/sessions.ts';
import type { Users } from '../identity/users.ts';
import type { Clock } from '../kernel/clock.ts';
import { seconds } from '../kernel/clock.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Meter } from '../kernel/metrics.ts';
import type { Random } from '../kernel/random.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Clients } from '../registry/clients.ts';
import type { Resources } from '../registry/resources.ts';
import type { Aggregates } from '../store/store.ts';
import type { TokenIssuer } from '../tokens/issuer.ts';
import { Dispatcher } from './authorize/dispatch.ts';
import { authorizeRoutes } from './authorize/endpoint.ts';
import { AccessTokenReader } from './bearer.ts';
import { ClientAssertions } from './client-assertion.ts';
import { ClientAuthentication } from './client-auth.ts';
import { discoveryRoutes, rootDiscoveryRoutes } from './discovery.ts';
import { endSessionRoutes } from './end-session.ts';
import { IdTokenReader } from './id-token-hint.ts';
import { introspectionRoute } from './introspection.ts';
import { registrationRoutes } from './registration.ts';
import { revocationRoute } from './revocation.ts';
import type { OAuthSettings } from './settings.ts';
import { authorizationCodeGrant } from './token/authorization-code.ts';
import { clientCredentialsGrant } from './token/client-credentials.ts';
import { tokenRoute } from './token/endpoint.ts';
import { refreshTokenGrant } from './token/refresh-token.ts';
import { userInfoRoutes } from './userinfo.ts';

export interface OAuthParts {
  /** Byte-exact, without a trailing slash. */
  readonly issuer: string;
  /** The issuer's path: empty, or `/auth`. */
  readonly prefix: string;
  readonly settings: OAuthSettings;
  readonly store: Pick<
    Aggregates,
    | 'clients'
    | 'consents'
    | 'codes'
    | 'refresh'
    | 'families'
    | 'issuances'
    | 'registrations'
    | 'replays'
    | 'settings'
  >;
  readonly clients: Clients;
  readonly resources: Resources;
  readonly requests: AuthorizationRequests;
  readonly sessions: Sessions;
  readonly users: Users;
  readonly keyring: Keyring;
  readonly tokens: TokenIssuer;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly meter?: Meter;
}

export interface OAuthRoutes {
  /** Mounted below the issuer's path. */
  readonly belowIssuer: readonly Route[];
  /** Mounted at the root of the host. */
  readonly atRoot: readonly Route[];
}

/** Every endpoint of the protocol. */
export function oauthRoutes(parts: OAuthParts): OAuthRoutes {
  const { issuer, prefix, settings, store, clients, clock } = parts;
  const authentication = new ClientAuthentication({
    clients,
    clock,
    assertions: new ClientAssertions({
      audiences: [issuer, `${issuer}${paths.token}`],
      replays: store.replays,
      settings: store.settings,
      clock,
      skew: seconds(settings.clock_skew),
    }),
  });
  const accessTokens = new AccessTokenReader({ ...parts, issuances: store.issuances });
  const idTokens = new IdTokenReader(parts);
  const dispatcher = new Dispatcher({ ...parts, consents: store.consents, codes: store.codes });
  const grants = [
    authorizationCodeGrant({ ...parts, codes: store.codes }),
    refreshTokenGrant({ ...parts, refresh: store.refresh }),
    clientCredentialsGrant({ ...parts, issuances: store.issuances }),
  ].filter(({ type }) => settings.grant_types.includes(type));
  return {
    belowIssuer: [
      ...discoveryRoutes(parts),
      ...authorizeRoutes({ ...parts, idTokens, dispatcher }),
      tokenRoute({ ...parts, authentication, grants }),
      introspectionRoute({ ...parts, authentication, accessTokens, refresh: store.refresh }),
      revocationRoute({
        ...parts,
        authentication,
        accessTokens,
        refresh: store.refresh,
        families: store.families,
        issuances: store.issuances,
      }),
      ...userInfoRoutes({ ...parts, accessTokens }),
      ...endSessionRoutes({ ...parts, idTokens }),
      ...registrationRoutes(parts),
    ],
    atRoot: rootDiscoveryRoutes(prefix, parts),
  };
}
