import { z } from 'zod';
import { json } from '../http/exchange.ts';
import { readBody } from '../http/json-body.ts';
import { sha256 } from '../kernel/bytes.ts';
import { randomToken } from '../kernel/random.ts';
import { scopeText } from '../registry/metadata.ts';
import { formatScope, scopeTokens } from '../registry/scopes.ts';
import type { AdminParts, AdminRoute } from './admin-route.ts';

const DAY = 86_400;

const newToken = z.strictObject({
  note: z.string().max(200).default(''),
  /** The most that a client may be registered for that acts for itself; empty: no such client. */
  scope: scopeText.default(''),
  /** Registrations that it allows; null for any number. */
  uses: z.int().min(1).max(1_000_000).nullable().default(1),
  /** Seconds. */
  lifetime: z
    .int()
    .min(60)
    .max(365 * DAY)
    .default(DAY),
});

/** POST /admin/initial-access-tokens: lets its holder register clients (RFC 7591 section 3), shown once. */
export function initialAccessTokenRoutes({ store, audit, clock, random, ids }: AdminParts): AdminRoute[] {
  return [
    {
      method: 'POST',
      path: '/admin/initial-access-tokens',
      body: 'json',
      async handle(request, caller) {
        const { note, scope, uses, lifetime } = readBody(newToken, request.json ?? {});
        const secret = randomToken(random);
        const now = clock.now();
        const token = {
          id: ids.next('iat'),
          note,
          scope: formatScope(scopeTokens(scope)),
          uses_left: uses,
          created_at: now,
          expires_at: now + lifetime * 1000,
        };
        await store.registrations.saveInitialToken({ token: { ...token, token_hash: sha256(secret) } });
        const { id, expires_at } = token;
        await audit.record({
          action: 'initial_access_token.created',
          ...caller,
          detail: { id, note, scope: token.scope, uses, expires_at },
        });
        return json(201, { ...token, initial_access_token: secret });
      },
    },
  ];
}
