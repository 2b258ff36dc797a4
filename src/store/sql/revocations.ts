/**
 * Access that was taken away, noted by the verb that took it in its own unit of work. What is done to many rows at once is
 * one row about whose they are. Columns besides `at`, by kind:
 * - password_changed, user_disabled, user_enabled, user_removed: user_id
 * - session_ended: user_id, subject the session; detail.families those that went with it
 * - sessions_ended: user_id; detail.except the session that was kept, or empty
 * - family_revoked: subject the family; detail.reason
 * - grant_withdrawn: user_id, client_id
 * - token_revoked: client_id, user_id, subject the jti; detail the row of the token
 * - client_disabled, client_enabled, client_removed: client_id
 * - client_narrowed: client_id; detail what the client lost (client-narrowing.ts)
 * - client_secret_rotated: client_id, subject the new secret's id, null where it has none any more; detail.former_expire_at
 * - resource_removed: subject the resource
 * - resource_narrowed: subject the resource; detail.scopes the names of those that went
 * - key_compromised: subject the kid; detail the row of the key
 * - setting_rotated: subject the name of the setting
 */
import type { RevocationKind, RevocationRecord } from '../records.ts';
import { LAST_REVOCATION, revocationId } from '../revocation-id.ts';
import type { RevocationStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Transaction, type Verbs, write } from './verb.ts';

export const OWN = ['id', 'at', 'kind', 'user_id', 'client_id', 'subject', 'detail_json'] as const;

/**
 * Locks the number by writing it. Those who revoke do this last, so that nobody who holds it waits for anybody else; they
 * get their numbers in the order in which they commit, and a reader that goes on after the last id misses none.
 */
const takeNumber = statement<{ name: string; at: number }>('revocations.takeNumber')(
  (db, { name, at }, sql) =>
    db
      .insertInto('settings')
      .values({ name, value: '1', updated_at: at })
      .onConflict((conflict) =>
        conflict.column('name').doUpdateSet({
          value: sql<string>`cast(cast(settings.value as bigint) + 1 as text)`,
          updated_at: at,
        }),
      )
      .returning(['value', sql<number>`(select restore_epoch from deployment)`.as('epoch')]),
);
const insertRevocation = statement<RevocationRecord>('revocations.insertRevocation')((db, revocation) =>
  db
    .insertInto('revocations')
    .values(columns(revocation, [...OWN, 'restored_at', 'replayed_at']))
    .onConflict((conflict) => conflict.doNothing()),
);
const listRevocations = statement<{ after: string; limit: number }>('revocations.listRevocations')(
  (db, { after, limit }) =>
    db.selectFrom('revocations').select(OWN).where('id', '>', after).orderBy('id').limit(limit),
);
const listReceived = statement<{ restored_at: number; after: string; limit: number }>(
  'revocations.listReceived',
)((db, { restored_at, after, limit }) =>
  db
    .selectFrom('revocations')
    .select(OWN)
    .where('id', '>', after)
    .where('restored_at', '=', restored_at)
    .where('replayed_at', 'is', null)
    .orderBy('id')
    .limit(limit),
);
const countReplayed = statement<{ restored_at: number }>('revocations.countReplayed')((db, { restored_at }) =>
  db
    .selectFrom('revocations')
    .select((select) => ['kind', select.fn.countAll<number>().as('count')])
    .where('restored_at', '=', restored_at)
    .where('replayed_at', 'is not', null)
    .groupBy('kind')
    .orderBy('kind'),
);

/** What a verb says of what it took away; see above which parts a kind has. */
export interface Taken {
  readonly kind: RevocationKind;
  readonly at: number;
  readonly user_id?: string | null;
  readonly client_id?: string | null;
  readonly subject?: string;
  readonly detail?: object;
}

/** Notes what was taken away. The last thing that a unit of work does: others wait for its number. */
export async function noteRevocation(db: Transaction, taken: Taken): Promise<void> {
  const { kind, at, user_id = null, client_id = null, subject = null, detail = {} } = taken;
  const head = await db.first(takeNumber, { name: LAST_REVOCATION, at });
  if (!head) throw new Error('the number of the last revocation is missing');
  const row = { at, kind, user_id, client_id, subject, detail_json: JSON.stringify(detail) };
  const id = revocationId(Number(head.epoch), Number(head.value), row);
  await db.run(insertRevocation, { id, ...row, restored_at: null, replayed_at: null });
}

export const revocations: Verbs<RevocationStore> = {
  list: read(async (db, input) => db.all(listRevocations, input)),
  receive: write(async (db, { revocations: rows, restored_at }) => {
    let received = 0;
    for (const row of rows)
      received += await db.run(insertRevocation, { ...row, restored_at, replayed_at: null });
    return { received };
  }),
  listReceived: read(async (db, input) => db.all(listReceived, input)),
  countReplayed: read(async (db, input) => {
    const counted = await db.all(countReplayed, input);
    return counted.map(({ kind, count }) => ({ kind, count: Number(count) }));
  }),
};
