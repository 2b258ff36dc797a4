import { json } from '../http/exchange.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';
import { showKeyring } from './keys.ts';

/** GET /admin/status: what an operator asks first. Fails with `unavailable` when the database does not answer. */
export function statusRoutes({ store, keyring, audit, facts }: AdminParts): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/admin/status',
      body: 'none',
      async handle() {
        await store.health.ping({});
        const deployment = await store.deployment.get({});
        const { signing, problems } = showKeyring(keyring.state());
        return json(200, {
          ...facts,
          deployment: deployment.id,
          created_at: deployment.created_at,
          restore_epoch: deployment.restore_epoch,
          keys: { signing, problems },
          audit_events_lost: audit.lost,
        });
      },
    },
  ];
}
