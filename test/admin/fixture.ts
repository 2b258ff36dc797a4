// Owns the admin API as tests meet it: over the real store of an engine, called as the local operator or over TCP.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { AdminApiKey } from '../../src/admin/admin-api-key.ts';
import { adminRoutes } from '../../src/admin/routes.ts';
import { AuditTrail } from '../../src/audit/trail.ts';
import { mount } from '../../src/http/mount.ts';
import { makeServer } from '../../src/http/server.ts';
import { Lockout } from '../../src/identity/lockout.ts';
import { PasswordHasher } from '../../src/identity/passwords.ts';
import { Sessions } from '../../src/identity/sessions.ts';
import { Users } from '../../src/identity/users.ts';
import { makeIds } from '../../src/kernel/ids.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { onlyStore } from '../../src/keys/keyring.test-kit.ts';
import { openKeyring } from '../../src/keys/keyring.ts';
import { openKeyfile } from '../../src/keys/stores/keyfile.ts';
import { pemKeyStore } from '../../src/keys/stores/pem-key-store.ts';
import { Clients } from '../../src/registry/clients.ts';
import { Resources } from '../../src/registry/resources.ts';
import type { Store } from '../../src/store/store.ts';
import { type Engine, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
}

export type Call = (
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>;

export interface AdminFixture {
  /** As the operator on the machine. */
  readonly call: Call;
  /** As somebody on the network. */
  readonly callOverTcp: Call;
  readonly store: Store;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly hasher: PasswordHasher;
  readonly apiKey: AdminApiKey;
  /** The time; tests move it. */
  readonly clock: { time: number; now(): number };
  /** The audit trail so far, newest last. */
  events(): Promise<
    readonly { action: string; actor: string; client_id: string | null; user_id: string | null }[]
  >;
  close(): Promise<void>;
}

export async function startAdmin(
  engine: Engine,
  options: { readonly configuredKey?: string } = {},
): Promise<AdminFixture> {
  const storage = await freshStorage(engine);
  const keys = await mkdtemp(path.join(tmpdir(), 'authserver-keys-'));
  const clock = {
    time: Date.UTC(2026, 0, 1),
    now() {
      return this.time;
    },
  };
  const random = systemRandom;
  const store = await openFreshStore(storageChoice(storage), clock);
  const ids = makeIds(clock, random);
  const hasher = new PasswordHasher({ memory: 1024, passes: 1, parallelism: 1, concurrency: 2 });
  const users = new Users({ store: store.users, hasher, clock, ids });
  const lifetimes = { idle: 3_600_000, absolute: 86_400_000 };
  const sessions = new Sessions({ store: store.sessions, clock, random, ids, lifetimes });
  const keyStores = onlyStore(pemKeyStore(await openKeyfile({ folder: keys, clock, log: silentLog })));
  const keyring = await openKeyring({
    store: store.keys,
    keyStores,
    algorithm: 'ES256',
    timing: {
      jwksMaxAge: 300_000,
      longestLifetime: 900_000,
      idTokenLifetime: 900_000,
      clockSkew: 30_000,
      rotationInterval: 90 * 86_400_000,
    },
    clock,
    log: silentLog,
    installationIsNew: true,
  });
  const apiKey = new AdminApiKey({
    configured: options.configuredKey,
    settings: store.settings,
    clock,
    random,
  });
  const routes = adminRoutes({
    store,
    clients: new Clients(store.clients),
    resources: new Resources(store.resources),
    users,
    sessions,
    keyring,
    custody: {
      ...keyStores,
      masters: async () => expect.unreachable('there is no master key here'),
      dataKeys: async () => expect.unreachable('there is no master key here'),
      state: () => ({ key_store: 'keyfile', data_encryption: 'none', master_key_id: null, data_keys: 0 }),
    },
    purge: { run: async () => expect.unreachable('nothing is purged here') },
    // The verbs about backups are tried on a server (test/ops/).
    backups: async () => expect.unreachable('nothing is backed up here'),
    reinstatement: async () => expect.unreachable('nothing is taken back here'),
    drills: async () => expect.unreachable('nothing is rehearsed here'),
    verification: async () => expect.unreachable('nothing is verified here'),
    stopping: new AbortController().signal,
    audit: new AuditTrail({ store: store.audit, clock, log: silentLog }),
    apiKey,
    lockout: new Lockout({
      store: store.loginFailures,
      clock,
      options: { limit: 5, window: 600_000, lockout: 900_000 },
    }),
    clock,
    random,
    ids,
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
    facts: { version: '0.0.0', issuer: 'https://auth.example', storage: engine.name },
  });
  const servers = (['inject', 'tcp'] as const).map((via) => {
    const app = makeServer({ bodyLimit: 65_536, trustedProxies: [], requestTimeout: 5000, random });
    mount(app, routes, { prefix: '', log: silentLog, secure: true, via, allowedOrigins: [] });
    const call: Call = async (method, url, body, headers = {}) => {
      const answer = await app.inject({
        method,
        url,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(body !== undefined && { payload: JSON.stringify(body) }),
      });
      const { statusCode, headers: sent, body: text } = answer;
      return { status: statusCode, headers: sent, body: text === '' ? undefined : JSON.parse(text) };
    };
    return { app, call };
  });
  return {
    call: servers[0]!.call,
    callOverTcp: servers[1]!.call,
    store,
    users,
    sessions,
    hasher,
    apiKey,
    clock,
    events: () => store.audit.list({ after: 0, limit: 1000 }),
    async close() {
      for (const { app } of servers) await app.close();
      keyring.close();
      await store.close();
      await storage.dispose();
      await rm(keys, { recursive: true, force: true });
    },
  };
}
