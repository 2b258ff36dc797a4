import type { IssuanceStore } from '../store.ts';
import { insertIssuance } from './inserts.ts';
import { noteRevocation } from './revocations.ts';
import { statement } from './statement.ts';
import { read, type Verbs, write, writeOnce } from './verb.ts';

const findLive = statement<{ jti: string; now: number }>('issuances.findLive')((db, { jti, now }) =>
  db
    .selectFrom('issuances')
    .innerJoin('clients', 'clients.id', 'issuances.client_id')
    .leftJoin('token_families', 'token_families.id', 'issuances.family_id')
    .leftJoin('users', 'users.id', 'issuances.user_id')
    .selectAll('issuances')
    .where('issuances.jti', '=', jti)
    .where('issuances.expires_at', '>', now)
    .where('issuances.revoked_at', 'is', null)
    .where('clients.status', '=', 'active')
    // A client that was removed and made again under its id does not bring its old tokens back.
    .whereRef('issuances.issued_at', '>=', 'clients.created_at')
    .where((where) =>
      where.or([
        where('issuances.family_id', 'is', null),
        where.and([
          where('token_families.revoked_at', 'is', null),
          where('token_families.expires_at', '>', now),
        ]),
      ]),
    )
    .where((where) =>
      where.or([where('issuances.user_id', 'is', null), where('users.status', '=', 'active')]),
    ),
);
const revoke = statement<{ jti: string; now: number }>('issuances.revoke')((db, { jti, now }) =>
  db
    .updateTable('issuances')
    .set({ revoked_at: now })
    .where('jti', '=', jti)
    .where('revoked_at', 'is', null)
    .returningAll(),
);

export const issuances: Verbs<IssuanceStore> = {
  record: writeOnce(
    insertIssuance,
    ({ issuance }) => issuance,
    () => undefined,
  ),
  findLive: read(async (db, input) => db.first(findLive, input)),
  revoke: write(async (db, input) => {
    const detail = await db.first(revoke, input);
    if (!detail) return { outcome: 'unknown' };
    const { client_id, user_id, jti: subject } = detail;
    await noteRevocation(db, { kind: 'token_revoked', at: input.now, client_id, user_id, subject, detail });
    return { outcome: 'revoked' };
  }),
};
