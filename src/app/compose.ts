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
import { type Random, systemRandom } from '../kernel/random.ts';
import { type KeyStore, onlyStore } from '../keys/key-store.ts';
import { openKeyfile } from '../keys/keyfile.ts';
import { type Keyring, openKeyring } from '../keys/keyring.ts';
import { pemKeyStore } from '../keys/pem-key-store.ts';
import { Clients, type GrantType } from '../registry/clients.ts';
import { Resources } from '../registry/resources.ts';
import type { Store } from '../store/store.ts';
import type { Config } from './config.ts';

/** What everything that serves requests is made of. */
export interface Rooms {
  readonly config: Config;
  readonly issuer: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the server stops: what takes long ends then. */
  readonly stopping: AbortSignal;
  readonly ids: Ids;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly audit: AuditTrail;
  readonly hasher: PasswordHasher;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly lockout: Lockout;
  readonly clients: Clients;
  readonly resources: Resources;
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
  }: Partial<Pick<Rooms, 'clock' | 'random' | 'stopping'>> = {},
): Promise<Rooms> {
  await using undo = new AsyncDisposableStack();
  undo.defer(() => store.close());
  const ids = makeIds(clock, random);
  const audit = new AuditTrail({ store: store.audit, clock, log });
  const keyring = await openKeys(config, { store, audit, clock, log });
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
    clock,
    random,
    stopping,
    ids,
    store,
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
    }),
    lockout: new Lockout({ store: store.loginFailures, clock, options: lockoutOptions(config) }),
    clients: new Clients(store.clients),
    resources: new Resources(store.resources),
    close: () => opened.disposeAsync(),
  };
}

/** The grants that the settings offer. */
export function grantTypes({ client_credentials }: Config): readonly GrantType[] {
  const always: readonly GrantType[] = ['authorization_code', 'refresh_token'];
  return client_credentials.enabled ? [...always, 'client_credentials'] : always;
}

async function openKeys(
  { signing, oauth, client_credentials }: Config,
  { store, audit, clock, log }: Pick<Rooms, 'store' | 'audit' | 'clock' | 'log'>,
): Promise<Keyring> {
  const lifetimes = [
    oauth.access_token_lifetime,
    oauth.id_token_lifetime,
    client_credentials.access_token_lifetime,
  ];
  return openKeyring({
    store: store.keys,
    keyStores: onlyStore(await openKeyStore(signing, { clock, log })),
    algorithm: signing.algorithm,
    timing: {
      jwksMaxAge: signing.jwks_max_age,
      longestLifetime: Math.max(...lifetimes),
      clockSkew: signing.clock_skew,
    },
    clock,
    log,
    installationIsNew: await isNew(store),
    onChange: ({ action, kid }) => void audit.record({ action, actor: 'system', detail: { kid } }),
  });
}

async function openKeyStore(
  { key_store, key_path }: Config['signing'],
  parts: Pick<Rooms, 'clock' | 'log'>,
): Promise<KeyStore> {
  switch (key_store) {
    case 'keyfile':
      return pemKeyStore(await openKeyfile({ folder: key_path, ...parts }));
  }
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
