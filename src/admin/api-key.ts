import { json } from '../http/exchange.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';

/** POST /admin/api-key/rotate: a new key for this API over TCP, shown once. */
export function apiKeyRoutes({ apiKey, audit }: AdminParts): AdminRoute[] {
  return [
    {
      method: 'POST',
      path: '/admin/api-key/rotate',
      body: 'none',
      async handle(_, caller) {
        const key = await apiKey.rotate();
        await audit.record({ action: 'admin.api_key_rotated', ...caller });
        return json(200, { api_key: key });
      },
    },
  ];
}
