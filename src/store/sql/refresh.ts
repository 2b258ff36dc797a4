import type { RefreshStore } from '../store.ts';
import { endFamily, findFamily } from './families.ts';
import { insertIssuance, insertRefreshToken } from './inserts.ts';
import { statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

const findToken = statement<{ token_hash: string }>('refresh.findToken')((db, { token_hash }) =>
  db.selectFrom('refresh_tokens').selectAll().where('token_hash', '=', token_hash),
);
const spendToken = statement<{
  token_hash: string;
  now: number;
  successor_salt: string;
  successor_hash: string;
}>('refresh.spendToken')((db, input) =>
  db
    .updateTable('refresh_tokens')
    .set({ spent_at: input.now, successor_salt: input.successor_salt, successor_hash: input.successor_hash })
    .where('token_hash', '=', input.token_hash)
    .where('spent_at', 'is', null)
    .where('expires_at', '>', input.now)
    .where(({ exists, selectFrom, ref }) =>
      exists(
        selectFrom('token_families')
          .innerJoin('users', 'users.id', 'token_families.user_id')
          .innerJoin('clients', 'clients.id', 'token_families.client_id')
          .select('token_families.id')
          .where('token_families.id', '=', ref('refresh_tokens.family_id'))
          .where('token_families.revoked_at', 'is', null)
          .where('token_families.expires_at', '>', input.now)
          .where('users.status', '=', 'active')
          .where('clients.status', '=', 'active'),
      ),
    )
    .returning('family_id'),
);

export const refresh: Verbs<RefreshStore> = {
  find: read(async (db, input) => {
    const token = await db.first(findToken, input);
    const family = token && (await db.first(findFamily, { id: token.family_id }));
    return token && family && { token, family };
  }),
  rotate: write(async (db, { token_hash, now, retry_window, successor_salt, successor, issuance }) => {
    const spent = await db.first(spendToken, {
      token_hash,
      now,
      successor_salt,
      successor_hash: successor.token_hash,
    });
    if (spent) {
      const family = await db.first(findFamily, { id: spent.family_id });
      const end = family ? Math.min(successor.expires_at, family.expires_at) : successor.expires_at;
      await db.run(insertRefreshToken, { ...successor, family_id: spent.family_id, expires_at: end });
      await db.run(insertIssuance, issuance);
      return { outcome: 'rotated' };
    }
    const token = await db.first(findToken, { token_hash });
    const family = token && (await db.first(findFamily, { id: token.family_id }));
    if (!token || !family) return { outcome: 'unknown' };
    if (family.revoked_at !== null) return { outcome: 'revoked' };
    if (family.expires_at <= now) return { outcome: 'expired' };
    if (token.spent_at === null) return { outcome: token.expires_at <= now ? 'expired' : 'revoked' };

    const promised =
      token.successor_hash && (await db.first(findToken, { token_hash: token.successor_hash }));
    const inWindow = now - token.spent_at <= retry_window && retry_window > 0;
    if (inWindow && promised && promised.spent_at === null && token.successor_salt !== null) {
      await db.run(insertIssuance, issuance);
      return { outcome: 'retried', successor_salt: token.successor_salt };
    }
    await endFamily(db, { id: family.id, now, reason: 'refresh_token_reused' });
    return { outcome: 'reused' };
  }),
};
