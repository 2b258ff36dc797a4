import { z } from 'zod';
import { json, type Outgoing } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import type { KeyringState } from '../keys/keyring.ts';
import { planRotation } from '../ops/rotate.ts';
import { onlyHere } from './access.ts';
import type { AdminParts, AdminRoute, Caller } from './admin-route.ts';

const importBody = z.strictObject({
  key: z.string().max(16_384),
  passphrase: z.string().max(1024).optional(),
  active_now: z.boolean().default(false),
});

/** They pass through the socket in the state directory. */
const NO_KEYS = 'Private keys do not travel over the network.';

/** /admin/keys: the signing keys: what they are, how they take turns, and what is done when one is lost or stolen. */
export function keyRoutes(parts: AdminParts): AdminRoute[] {
  const api = new KeyApi(parts);
  const post = (path: string, handle: (kid: string, caller: Caller) => Promise<Outgoing>): AdminRoute => ({
    method: 'POST',
    path,
    body: 'none',
    handle: ({ params }, caller) => handle(params['kid'] ?? '', caller),
  });
  const { keyring, clock } = parts;
  return [
    {
      method: 'GET',
      path: '/admin/keys',
      body: 'none',
      handle: async () => json(200, showKeyring(keyring.state())),
    },
    {
      method: 'GET',
      path: '/admin/keys/rotation',
      body: 'none',
      handle: async () => json(200, planRotation(keyring, clock.now())),
    },
    post('/admin/keys/rotate', (_, caller) => api.rotate(caller)),
    post('/admin/keys/verify', () => api.verify()),
    post('/admin/keys/recover', (_, caller) => api.recover(caller)),
    {
      method: 'POST',
      path: '/admin/keys/import',
      body: 'json',
      handle: (request, caller) => api.import(request.json, caller),
    },
    post('/admin/keys/:kid/retire', (kid, caller) => api.retire(kid, caller)),
    post('/admin/keys/:kid/compromised', (kid, caller) => api.compromise(kid, caller)),
    post('/admin/keys/:kid/export', (kid, caller) => api.export(kid, caller)),
  ];
}

class KeyApi {
  readonly #parts: AdminParts;

  constructor(parts: AdminParts) {
    this.#parts = parts;
  }

  async rotate(caller: Caller): Promise<Outgoing> {
    const rotation = await this.#parts.keyring.rotate();
    const { kid, started } = rotation;
    await this.#record('key.rotation_asked', caller, { kid, started });
    return json(200, rotation);
  }

  async verify(): Promise<Outgoing> {
    return json(200, await this.#parts.keyring.management.verify());
  }

  async recover(caller: Caller): Promise<Outgoing> {
    const report = await this.#parts.keyring.management.recover();
    const { successor, lost, withdrawn } = report;
    await this.#record('key.recovered', caller, { kid: successor.kid, lost, withdrawn });
    return json(200, report);
  }

  async import(body: unknown, caller: Caller): Promise<Outgoing> {
    onlyHere(caller, NO_KEYS, 'authserver keys import');
    const { key, passphrase, active_now } = readBody(importBody, body);
    const report = await this.#parts.keyring.management.import({ key, passphrase, activeNow: active_now });
    const { kid, outcome, state } = report;
    await this.#record('key.import_asked', caller, { kid, outcome, state });
    return json(200, report);
  }

  async retire(kid: string, caller: Caller): Promise<Outgoing> {
    const retirement = await this.#parts.keyring.management.retire(kid);
    await this.#record('key.retirement_asked', caller, { ...retirement });
    return json(200, retirement);
  }

  async compromise(kid: string, caller: Caller): Promise<Outgoing> {
    const report = await this.#parts.keyring.management.compromise(kid);
    const { former_state, successor, revoked } = report;
    await this.#record('key.compromise_reported', caller, {
      kid,
      former_state,
      successor: successor?.kid ?? null,
      revoked,
    });
    return json(200, report);
  }

  async export(kid: string, caller: Caller): Promise<Outgoing> {
    onlyHere(caller, NO_KEYS, 'authserver keys export');
    const exported = await this.#parts.keyring.management.export(kid);
    await this.#record('key.exported', caller, { kid });
    return json(200, exported);
  }

  #record(
    action: Parameters<AdminParts['audit']['record']>[0]['action'],
    caller: Caller,
    detail: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    return this.#parts.audit.record({ action, ...caller, detail });
  }
}

/** The keys without anything secret; problems as a program reads them. */
export function showKeyring({ signing, problems, keys }: KeyringState) {
  return {
    signing,
    problems: problems.map(({ code, message, hint }) => ({ code, message, hint })),
    items: keys,
  };
}
