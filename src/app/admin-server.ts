import type { FastifyInstance } from 'fastify';
import { AdminApiKey } from '../admin/admin-api-key.ts';
import type { AdminParts } from '../admin/admin-route.ts';
import { adminRoutes } from '../admin/routes.ts';
import type { Incoming } from '../http/exchange.ts';
import { mount } from '../http/mount.ts';
import { grantTypes, openRooms, type Rooms } from './compose.ts';
import type { Config } from './config.ts';
import { openDatabase } from './database.ts';
import { type Health, healthRoutes } from './health.ts';
import { makeListener } from './listener.ts';
import { makeLog } from './log.ts';
import { metricsRoutes } from './metrics/route.ts';
import { programVersion } from './version.ts';

/** The key of the admin API over TCP. */
export function adminApiKey({ config, store, clock, random }: Rooms): AdminApiKey {
  return new AdminApiKey({ configured: config.admin.api_key, settings: store.settings, clock, random });
}

/** The admin API for callers that come in by one way; over the socket and in process nobody needs a key. */
export function makeAdminServer(rooms: Rooms, via: Incoming['via'], health?: Health): FastifyInstance {
  const app = makeListener(rooms);
  const { config, issuer, log, clock, meter } = rooms;
  const routes = adminRoutes({
    ...rooms,
    ...choresOf(rooms),
    apiKey: adminApiKey(rooms),
    grantTypes: grantTypes(config),
    facts: { version: programVersion(), issuer, storage: config.storage.driver },
  });
  const probes = health ? [...healthRoutes(health, clock), ...metricsRoutes(config, rooms.metrics)] : [];
  const listener = { meter, listener: 'admin' } as const;
  mount(app, [...routes, ...probes], {
    ...listener,
    log,
    secure: false,
    via,
    allowedOrigins: [],
    prefix: '',
  });
  return app;
}

/** Each is loaded when it is asked for. */
export function choresOf(
  rooms: Rooms,
): Pick<AdminParts, 'backups' | 'verification' | 'reinstatement' | 'drills'> {
  return {
    async backups() {
      const { makeBackupDesk } = await import('./backup/desk.ts');
      return makeBackupDesk(rooms);
    },
    async verification() {
      const { makeVerification } = await import('./backup/verify-desk.ts');
      return makeVerification(rooms);
    },
    async reinstatement() {
      const { makeReinstateDesk } = await import('./reinstate/desk.ts');
      return makeReinstateDesk(rooms);
    },
    async drills() {
      const { makeDrillDesk } = await import('./drill/desk.ts');
      return makeDrillDesk(rooms);
    },
  };
}

/** The admin API without a listener, for one command. The caller holds the lock where there is one. */
export async function openAdminInProcess(
  config: Config,
): Promise<{ readonly app: FastifyInstance; close(): Promise<void> }> {
  const log = makeLog({ ...config.observability.logging, level: 'error', output: 'stderr' });
  // Commands mend what a server would refuse to start with: a lost key.
  const rooms = await openRooms(config, await openDatabase(config, log), log, { mustSign: false });
  const app = makeAdminServer(rooms, 'inject');
  const close = async () => {
    await app.close();
    await rooms.close();
  };
  return { app, close };
}
