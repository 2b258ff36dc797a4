import type { SigningKeyRecord } from '../records.ts';
import type { SigningKeyStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Transaction, type Verbs, write } from './verb.ts';

const listKeys = statement<object>('keys.listKeys')((db) =>
  db.selectFrom('signing_keys').selectAll().orderBy('created_at').orderBy('kid'),
);
// Two unique indexes, one active and one pending key, decide every race.
const insertKey = statement<SigningKeyRecord>('keys.insertKey')((db, key) =>
  db
    .insertInto('signing_keys')
    .values(
      columns(key, [
        'kid',
        'algorithm',
        'state',
        'public_jwk_json',
        'key_store',
        'created_at',
        'activates_at',
        'activated_at',
        'retires_at',
        'retired_at',
      ]),
    )
    .onConflict((conflict) => conflict.doNothing()),
);
const holdPending = statement<{ kid: string; now: number }>('keys.holdPending')((db, { kid, now }) =>
  db
    .updateTable('signing_keys')
    .set({ activated_at: now })
    .where('kid', '=', kid)
    .where('state', '=', 'pending'),
);
const findActive = statement<object>('keys.findActive')((db) =>
  db.selectFrom('signing_keys').select('kid').where('state', '=', 'active'),
);
/**
 * When the last access token of a key runs out. Read down the index on expiry, where the active key's tokens come first,
 * and no further than the tokens still in force, so that it costs little however many there are.
 */
const findLastExpiry = statement<{ kid: string; now: number }>('keys.findLastExpiry')((db, { kid, now }) =>
  db
    .selectFrom('issuances')
    .select('expires_at')
    .where('kid', '=', kid)
    .where('expires_at', '>', now)
    .orderBy('expires_at', 'desc')
    .limit(1),
);
const retireActive = statement<{ retires_at: number }>('keys.retireActive')((db, { retires_at }) =>
  db.updateTable('signing_keys').set({ state: 'retiring', retires_at }).where('state', '=', 'active'),
);
const activate = statement<{ kid: string }>('keys.activate')((db, { kid }) =>
  db.updateTable('signing_keys').set({ state: 'active' }).where('kid', '=', kid),
);
const retireDue = statement<{ now: number }>('keys.retireDue')((db, { now }) =>
  db
    .updateTable('signing_keys')
    .set({ state: 'retired', retired_at: now })
    .where('state', '=', 'retiring')
    .where('retires_at', '<=', now),
);
const longestOfClients = statement<object>('keys.longestOfClients')((db) =>
  db.selectFrom('clients').select((select) => select.fn.max('access_token_lifetime').as('longest')),
);
const longestOfResources = statement<object>('keys.longestOfResources')((db) =>
  db.selectFrom('resources').select((select) => select.fn.max('access_token_lifetime').as('longest')),
);

const add = async (db: Transaction, key: SigningKeyRecord) =>
  (await db.run(insertKey, key)) === 1 ? ({ outcome: 'added' } as const) : ({ outcome: 'taken' } as const);

export const keys: Verbs<SigningKeyStore> = {
  list: read(async (db) => db.all(listKeys, {})),
  addFirst: write(async (db, { key }) =>
    (await db.first(listKeys, {})) ? { outcome: 'taken' } : add(db, key),
  ),
  addPending: write(async (db, { key }) => add(db, key)),
  activate: write(async (db, { kid, now, retires_at, margin }) => {
    if ((await db.run(holdPending, { kid, now })) === 0) return { outcome: 'unknown' };
    const active = await db.first(findActive, {});
    const last = active && (await db.first(findLastExpiry, { ...active, now }));
    await db.run(retireActive, { retires_at: Math.max(retires_at, (last?.expires_at ?? 0) + margin) });
    await db.run(activate, { kid });
    return { outcome: 'activated' };
  }),
  retireDue: write(async (db, input) => ({ retired: await db.run(retireDue, input) })),
  longestTokenLifetime: read(async (db) => {
    const ofClients = await db.first(longestOfClients, {});
    const ofResources = await db.first(longestOfResources, {});
    return Math.max(Number(ofClients?.longest ?? 0), Number(ofResources?.longest ?? 0));
  }),
};
