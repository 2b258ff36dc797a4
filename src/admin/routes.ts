/**
 * admin: the HTTP API of the operator (docs/admin-api.md), one file a resource. It owns who may call it (access.ts), what a body
 * may say and how things are shown; it must not know the protocol endpoints, the pages, or a table.
 *
 * Times are milliseconds since 1970, lifetimes seconds, members of clients those of RFC 7591.
 */
import type { Route } from '../http/exchange.ts';
import { Access } from './access.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { apiKeyRoutes } from './api-key.ts';
import { auditRoutes } from './audit.ts';
import { backupRoutes } from './backup.ts';
import { backupVerifyRoutes } from './backup-verify.ts';
import { clientRoutes } from './clients.ts';
import { drillRoutes } from './drill.ts';
import { initialAccessTokenRoutes } from './initial-access-tokens.ts';
import { keyRoutes } from './keys.ts';
import { custodyRoutes } from './keys-custody.ts';
import { purgeRoutes } from './purge.ts';
import { reinstateRoutes } from './reinstate.ts';
import { resourceRoutes } from './resources.ts';
import { statusRoutes } from './status.ts';
import { userRoutes } from './users.ts';

/** Every route, each behind the same door. */
export function adminRoutes(parts: AdminParts): Route[] {
  const access = new Access(parts);
  const routes: readonly AdminRoute[] = [
    ...statusRoutes(parts),
    ...userRoutes(parts),
    ...clientRoutes(parts),
    ...resourceRoutes(parts),
    ...keyRoutes(parts),
    ...custodyRoutes(parts),
    ...initialAccessTokenRoutes(parts),
    ...apiKeyRoutes(parts),
    ...auditRoutes(parts),
    ...purgeRoutes(parts),
    ...backupRoutes(parts),
    ...reinstateRoutes(parts),
    ...backupVerifyRoutes(parts),
    ...drillRoutes(parts),
  ];
  return routes.map((route) => ({
    ...route,
    kind: 'api',
    handle: async (request) => route.handle(request, await access.admit(request)),
  }));
}
