import type { ConsentRecord } from '../records.ts';
import type { ConsentStore } from '../store.ts';
import { revokeFamiliesOfGrant } from './endings.ts';
import { noteRevocation } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

type Grant = { user_id: string; client_id: string };

const upsertConsent = statement<ConsentRecord>('consents.upsertConsent')((db, consent) =>
  db
    .insertInto('consents')
    .values(columns(consent, ['user_id', 'client_id', 'resource', 'scope', 'granted_at', 'updated_at']))
    .onConflict((conflict) =>
      conflict
        .columns(['user_id', 'client_id', 'resource'])
        .doUpdateSet({ scope: consent.scope, updated_at: consent.updated_at }),
    ),
);
export const insertConsent = statement<ConsentRecord>('consents.insertConsent')((db, consent) =>
  db
    .insertInto('consents')
    .values(columns(consent, ['user_id', 'client_id', 'resource', 'scope', 'granted_at', 'updated_at']))
    .onConflict((conflict) => conflict.doNothing()),
);
const findConsents = statement<Grant>('consents.findConsents')((db, { user_id, client_id }) =>
  db.selectFrom('consents').selectAll().where('user_id', '=', user_id).where('client_id', '=', client_id),
);
const listOfUser = statement<{ user_id: string }>('consents.listOfUser')((db, { user_id }) =>
  db
    .selectFrom('consents')
    .selectAll()
    .where('user_id', '=', user_id)
    .orderBy('client_id')
    .orderBy('resource'),
);
export const deleteConsents = statement<Grant>('consents.deleteConsents')((db, { user_id, client_id }) =>
  db.deleteFrom('consents').where('user_id', '=', user_id).where('client_id', '=', client_id),
);
export const voidCodes = statement<Grant>('consents.voidCodes')((db, { user_id, client_id }) =>
  db
    .deleteFrom('auth_codes')
    .where('user_id', '=', user_id)
    .where('client_id', '=', client_id)
    .where('redeemed_at', 'is', null),
);

export const consents: Verbs<ConsentStore> = {
  save: write(async (db, input) => {
    for (const consent of input.consents) await db.run(upsertConsent, consent);
  }),
  find: read(async (db, input) => db.all(findConsents, input)),
  listOfUser: read(async (db, input) => db.all(listOfUser, input)),
  withdraw: write(async (db, { user_id, client_id, now }) => {
    const removed = await db.run(deleteConsents, { user_id, client_id });
    const voided = await db.run(voidCodes, { user_id, client_id });
    const revoked = await db.run(revokeFamiliesOfGrant, {
      user_id,
      client_id,
      now,
      reason: 'consent_withdrawn',
    });
    if (removed + voided + revoked === 0) return { outcome: 'unknown' };
    await noteRevocation(db, { kind: 'grant_withdrawn', at: now, user_id, client_id });
    return { outcome: 'withdrawn' };
  }),
};
