import type { FastifyInstance } from 'fastify';
import { AuthorizationRequests } from '../flow/requests.ts';
import type { Route } from '../http/exchange.ts';
import { RateLimiter } from '../http/limits.ts';
import { mount } from '../http/mount.ts';
import { PasswordSignIn } from '../identity/sign-in.ts';
import { systemClock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import { resolvePostLogout } from '../oauth/end-session.ts';
import { oauthRoutes } from '../oauth/routes.ts';
import type { OAuthSettings } from '../oauth/settings.ts';
import { makeErrorPage } from '../signin/error.ts';
import { Pages } from '../signin/pages.ts';
import { signinRoutes } from '../signin/routes.ts';
import { TokenIssuer } from '../tokens/issuer.ts';
import { grantTypes, type Rooms } from './compose.ts';
import type { Address, Config } from './config.ts';
import { pendingSteps } from './database.ts';
import { type Health, healthRoutes, makeWaitingHealth } from './health.ts';
import { listen, makeListener } from './listener.ts';
import type { Metrics } from './metrics/metrics.ts';
import { metricsRoutes } from './metrics/route.ts';

/** What pages and protocol share, made once. */
interface Shared {
  readonly prefix: string;
  readonly requests: AuthorizationRequests;
  readonly pages: Pages;
}

/** Everything that the public listener serves, by where it is mounted. */
export interface PublicRoutes {
  readonly belowIssuer: readonly Route[];
  readonly atRoot: readonly Route[];
  /** At the root too, and never rate limited. */
  readonly probes: readonly Route[];
}

/** The public listener: the protocol, the pages, and the probes. */
export function makePublicServer(rooms: Rooms, health: Health): FastifyInstance {
  const { config, issuer, log, clock, meter } = rooms;
  const shared = share(rooms);
  const { belowIssuer, atRoot, probes } = publicRoutes(rooms, health, shared);

  const app = makeListener(rooms);
  const limits = config.rate_limit;
  const rate = { requestsPerSecond: limits.requests_per_second, burst: limits.burst };
  const options = {
    log,
    meter,
    listener: 'public',
    secure: issuer.startsWith('https:'),
    via: 'tcp',
    allowedOrigins: config.server.allowed_origins,
    errorPage: makeErrorPage(shared.pages),
  } as const;
  const tooMany = meter.counter('authserver_http_rate_limited_total');
  const limited = { ...options, ...(limits.enabled && { limiter: new RateLimiter(rate, clock, tooMany) }) };
  mount(app, belowIssuer, { ...limited, prefix: shared.prefix });
  mount(app, atRoot, { ...limited, prefix: '' });
  mount(app, probes, { ...options, prefix: '' });
  return app;
}

export function publicRoutes(rooms: Rooms, health: Health, shared: Shared = share(rooms)): PublicRoutes {
  const { belowIssuer, atRoot } = protocolRoutes(rooms, shared);
  return {
    belowIssuer: [...belowIssuer, ...pageRoutes(rooms, shared)],
    atRoot,
    probes: healthRoutes(health, rooms.clock),
  };
}

function share({ issuer, store, clock, random }: Rooms): Shared {
  const prefix = new URL(issuer).pathname.replace(/\/$/, '');
  return {
    prefix,
    requests: new AuthorizationRequests({ store: store.requests, clock, random }),
    pages: new Pages({ prefix, productName: 'authserver' }),
  };
}

function protocolRoutes(rooms: Rooms, shared: Shared): ReturnType<typeof oauthRoutes> {
  const { config, issuer, keyring, clock, ids, meter } = rooms;
  return oauthRoutes({
    ...rooms,
    ...shared,
    settings: oauthSettings(config),
    tokens: new TokenIssuer({
      issuer,
      keyring,
      clock,
      ids,
      idTokenLifetime: config.oauth.id_token_lifetime,
      meter,
    }),
  });
}

function pageRoutes(rooms: Rooms, shared: Shared): readonly Route[] {
  const { audit, store, clients } = rooms;
  return signinRoutes({
    ...rooms,
    ...shared,
    signIn: new PasswordSignIn({ ...rooms, record: (event) => audit.record(event) }),
    consents: store.consents,
    families: store.families,
    resolvePostLogout: (handle) => resolvePostLogout(handle, clients),
  });
}

function oauthSettings(config: Config): OAuthSettings {
  const { oauth, client_credentials, dcr, signing } = config;
  return {
    code_lifetime: oauth.code_lifetime,
    access_token_lifetime: oauth.access_token_lifetime,
    machine_token_lifetime: client_credentials.access_token_lifetime,
    refresh_token_lifetime: oauth.refresh_token_lifetime,
    refresh_token_absolute_lifetime: oauth.refresh_token_absolute_lifetime,
    refresh_retry_window: oauth.refresh_retry_window,
    clock_skew: signing.clock_skew,
    default_scope: oauth.default_scope,
    grant_types: grantTypes(config),
    registration: { ...dcr, default_client_scope: dcr.default_client_scope ?? '' },
  };
}

/**
 * The listeners of a server that waits for its schema: alive, not ready, and nothing else. That it waits can be seen in the
 * metrics, which are where they will be afterwards.
 */
export async function listenWhileWaiting(
  config: Config,
  log: Log,
  metrics: Metrics,
): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const health = makeWaitingHealth({ pendingSteps: () => pendingSteps(config), clock: systemClock, log });
  const probes = healthRoutes(health, systemClock);
  const open = async (routes: readonly Route[], address: Address, key: string) => {
    const app = makeListener({ config, random: systemRandom });
    opened.defer(() => app.close());
    mount(app, routes, { log, secure: false, via: 'tcp', allowedOrigins: [], prefix: '' });
    await listen(app, address, key);
  };
  await open(probes, config.server.address, 'server.address');
  const { enabled, address } = config.admin;
  if (enabled) await open([...probes, ...metricsRoutes(config, metrics)], address, 'admin.address');
  return opened.move();
}
