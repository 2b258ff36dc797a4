import type { FamilyStore } from '../store.ts';
import { revokeFamily } from './endings.ts';
import { noteRevocation } from './revocations.ts';
import { statement } from './statement.ts';
import { read, type Transaction, type Verbs, write } from './verb.ts';

export const findFamily = statement<{ id: string }>('families.findFamily')((db, { id }) =>
  db.selectFrom('token_families').selectAll().where('id', '=', id),
);
const listLive = statement<{ user_id: string; now: number }>('families.listLive')((db, { user_id, now }) =>
  db
    .selectFrom('token_families')
    .selectAll()
    .where('user_id', '=', user_id)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .orderBy('id', 'desc'),
);

/** Revokes a family, and notes it, as the last thing of a unit of work; false where there was nothing to revoke. */
export async function endFamily(
  db: Transaction,
  { id, now, reason }: { id: string; now: number; reason: string },
): Promise<boolean> {
  if ((await db.run(revokeFamily, { id, now, reason })) === 0) return false;
  await noteRevocation(db, { kind: 'family_revoked', at: now, subject: id, detail: { reason } });
  return true;
}

export const families: Verbs<FamilyStore> = {
  find: read(async (db, input) => db.first(findFamily, input)),
  revoke: write(async (db, input) => ({
    outcome: (await endFamily(db, input)) ? 'revoked' : 'unknown',
  })),
  listOfUser: read(async (db, input) => db.all(listLive, input)),
};
