/**
 * app: the composition root, the only room that reads the environment and names a driver, a port or a clock. This file
 * makes the rooms below out of the settings, once, and closes them in the opposite order; it must not know a route, a page
 * or a command.
 */
import { AuditTrail } from '../audit/trail.ts';
import { Lockout, type LockoutOptions } from '../identity/lockout.ts';
import { PasswordHasher } from '../identity/passwords.ts';
import { Sessions } from '../identity/sessions.ts';
import { Users } from '../identity/users.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { type Ids, makeIds } from '../kernel/ids.ts';
import type { Log } from '../kernel/log.ts';
import type { Meter } from '../kernel/metrics.ts';
import { type Random, systemRandom } from '../kernel/random.ts';
import { type Keyring, type KeyringParts, openKeyring } from '../keys/keyring.ts';
import type { KeyStores } from '../keys/stores/key-store.ts';
import type { Purge } from '../ops/purge.ts';
import { Clients, type GrantType } from '../registry/clients.ts';
import { Resources } from '../registry/resources.ts';
import type { Store } from '../store/store.ts';
import type { Config } from './config.ts';
import { type KeyCustody, openKeyCustody } from './keys.ts';
import { type Metrics, silentMetrics } from './metrics/metrics.ts';
import { makePurge } from './purge.ts';

/** What everything that serves requests is made of. */
export interface Rooms {
  readonly config: Config;
  readonly issuer: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the server stops: what takes long ends then. */
  readonly stopping: AbortSignal;
  readonly ids: Ids;
  readonly store: Store;
  readonly custody: KeyCustody;
  readonly keyring: Keyring;
  readonly audit: AuditTrail;
  readonly hasher: PasswordHasher;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly lockout: Lockout;
  readonly clients: Clients;
  readonly resources: Resources;
  readonly purge: Purge;
  close(): Promise<void>;
}

/**
 * Builds the rooms on an open store, which they close with themselves.
 * Failures: `configuration` when a key is lost, `unavailable`.
 */
export async function openRooms(
  config: Config,
  store: Store,
  log: Log,
  {
    clock = systemClock,
    random = systemRandom,
    stopping = new AbortController().signal,
    metrics = silentMetrics,
    mustSign = true,
  }: Partial<Pick<Rooms, 'clock' | 'random' | 'stopping' | 'metrics'> & Pick<KeyringParts, 'mustSign'>> = {},
): Promise<Rooms> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => store.close());
  const ids = makeIds(clock, random);
  const { meter } = metrics;
  const audit = new AuditTrail({ store: store.audit, clock, log, meter });
  const custody = await openKeyCustody(config, { store, clock, random, ids, log });
  undo.defer(() => custody.close());
  const keyring = await openKeys(config, custody, { store, audit, clock, log, mustSign });
  undo.defer(() => keyring.close());
  const hasher = new PasswordHasher({
    memory: config.password.memory / 1024,
    passes: config.password.passes,
    parallelism: config.password.parallelism,
    concurrency: config.password.max_concurrent_hashes,
  });
  const opened = undo.move();
  return {
    config,
    issuer: config.server.issuer,
    log,
    metrics,
    meter,
    clock,
    random,
    stopping,
    ids,
    store,
    custody,
    keyring,
    audit,
    hasher,
    users: new Users({ store: store.users, hasher, clock, ids }),
    sessions: new Sessions({
      store: store.sessions,
      clock,
      random,
      ids,
      lifetimes: { idle: config.session.idle_timeout, absolute: config.session.max_age },
      meter,
    }),
    lockout: new Lockout({ store: store.loginFailures, clock, options: lockoutOptions(config) }),
    clients: new Clients(store.clients),
    resources: new Resources(store.resources),
    purge: makePurge({ config, store, audit, clock, ids, log, meter }),
    close: () => opened.disposeAsync(),
  };
}

/** The grants that the settings offer. */
export function grantTypes({ client_credentials }: Config): readonly GrantType[] {
  const always: readonly GrantType[] = ['authorization_code', 'refresh_token'];
  return client_credentials.enabled ? [...always, 'client_credentials'] : always;
}

async function openKeys(
  { signing, keys, oauth, client_credentials }: Config,
  keyStores: KeyStores,
  {
    store,
    audit,
    clock,
    log,
    mustSign,
  }: Pick<Rooms, 'store' | 'audit' | 'clock' | 'log'> & { mustSign: boolean },
): Promise<Keyring> {
  const lifetimes = [
    oauth.access_token_lifetime,
    oauth.id_token_lifetime,
    client_credentials.access_token_lifetime,
  ];
  return openKeyring({
    store: store.keys,
    keyStores,
    algorithm: signing.algorithm,
    timing: {
      jwksMaxAge: signing.jwks_max_age,
      longestLifetime: Math.max(...lifetimes),
      idTokenLifetime: oauth.id_token_lifetime,
      rotationInterval: keys.rotation_interval,
      clockSkew: signing.clock_skew,
    },
    clock,
    log,
    installationIsNew: await isNew(store),
    mustSign,
    onChange: ({ action, kid }) => void audit.record({ action, actor: 'system', detail: { kid } }),
  });
}

/** Nobody can miss the keys of a database in which nothing was ever kept. */
async function isNew(store: Store): Promise<boolean> {
  const first = { after: '', limit: 1 };
  const found = [
    await store.users.list(first),
    await store.clients.list(first),
    await store.audit.list({ after: 0, limit: 1 }),
  ];
  return found.every((rows) => rows.length === 0);
}

function lockoutOptions({ rate_limit }: Config): LockoutOptions {
  const { auth_fail_max, auth_fail_window: window, auth_lockout: lockout } = rate_limit;
  return { limit: auth_fail_max === 0 ? Number.MAX_SAFE_INTEGER : auth_fail_max, window, lockout };
}
