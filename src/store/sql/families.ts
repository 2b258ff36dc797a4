import type { FamilyStore } from '../store.ts';
import { revokeFamily } from './endings.ts';
import { statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

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

export const families: Verbs<FamilyStore> = {
  find: read(async (db, input) => db.first(findFamily, input)),
  revoke: write(async (db, input) => ({
    outcome: (await db.run(revokeFamily, input)) === 1 ? 'revoked' : 'unknown',
  })),
  listOfUser: read(async (db, input) => db.all(listLive, input)),
};
