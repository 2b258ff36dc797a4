import { json } from '../http/exchange.ts';
import type { KeyringState } from '../keys/keyring.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';

/** /admin/keys: the signing keys and their rotation. */
export function keyRoutes({ keyring, audit }: AdminParts): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/admin/keys',
      body: 'none',
      handle: async () => json(200, showKeyring(keyring.state())),
    },
    {
      method: 'POST',
      path: '/admin/keys/rotate',
      body: 'none',
      async handle(_, caller) {
        const rotation = await keyring.rotate();
        const { kid, started } = rotation;
        await audit.record({ action: 'key.rotation_asked', ...caller, detail: { kid, started } });
        return json(200, rotation);
      },
    },
  ];
}

/** The keys without anything secret; problems as a program reads them. */
export function showKeyring({ signing, problems, keys }: KeyringState) {
  return {
    signing,
    problems: problems.map(({ code, message, hint }) => ({ code, message, hint })),
    items: keys,
  };
}
