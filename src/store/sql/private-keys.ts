import type { PrivateKeyRecord } from '../records.ts';
import type { PrivateKeyStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write, writeOnce } from './verb.ts';

// A private half is sealed anew, never replaced by another key's: its id is the thumbprint of what it holds.
const savePrivateKey = statement<PrivateKeyRecord>('privateKeys.savePrivateKey')((db, key) =>
  db
    .insertInto('private_keys')
    .values(columns(key, ['kid', 'sealed', 'data_key_id', 'created_at']))
    .onConflict((conflict) =>
      conflict.column('kid').doUpdateSet({ sealed: key.sealed, data_key_id: key.data_key_id }),
    ),
);
const findPrivateKey = statement<{ kid: string }>('privateKeys.findPrivateKey')((db, { kid }) =>
  db.selectFrom('private_keys').selectAll().where('kid', '=', kid),
);
const pageOfPrivateKeys = statement<{ after: string; limit: number }>('privateKeys.pageOfPrivateKeys')(
  (db, { after, limit }) =>
    db.selectFrom('private_keys').selectAll().where('kid', '>', after).orderBy('kid').limit(limit),
);
const countPrivateKeys = statement<object>('privateKeys.countPrivateKeys')((db) =>
  db
    .selectFrom('private_keys')
    .select((select) => ['data_key_id', select.fn.countAll<number>().as('rows')])
    .groupBy('data_key_id')
    .orderBy('data_key_id'),
);
const resealPrivateKey = statement<{ kid: string; former: string; sealed: string; data_key_id: string }>(
  'privateKeys.resealPrivateKey',
)((db, { kid, former, sealed, data_key_id }) =>
  db
    .updateTable('private_keys')
    .set({ sealed, data_key_id })
    .where('kid', '=', kid)
    .where('sealed', '=', former),
);
const removePrivateKey = statement<{ kid: string }>('privateKeys.removePrivateKey')((db, { kid }) =>
  db.deleteFrom('private_keys').where('kid', '=', kid),
);
const relocateKey = statement<{ kid: string; from: string; to: string }>('privateKeys.relocateKey')(
  (db, { kid, from, to }) =>
    db
      .updateTable('signing_keys')
      .set({ key_store: to })
      .where('kid', '=', kid)
      .where('key_store', '=', from),
);

export const privateKeys: Verbs<PrivateKeyStore> = {
  save: write(
    async (db, { key }) => {
      await db.run(savePrivateKey, key);
      return { outcome: 'saved' } as const;
    },
    { outcome: 'no_data_key' },
  ),
  find: read(async (db, input) => db.first(findPrivateKey, input)),
  list: read(async (db, input) => db.all(pageOfPrivateKeys, input)),
  count: read(async (db) => {
    const counted = await db.all(countPrivateKeys, {});
    return counted.map(({ data_key_id, rows }) => ({ data_key_id, rows: Number(rows) }));
  }),
  reseal: writeOnce(
    resealPrivateKey,
    (input) => input,
    (changed) => ({ outcome: changed === 1 ? 'resealed' : 'changed' }),
  ),
  remove: writeOnce(
    removePrivateKey,
    (input) => input,
    () => undefined,
  ),
  relocate: writeOnce(
    relocateKey,
    (input) => input,
    (changed) => ({ outcome: changed === 1 ? 'relocated' : 'changed' }),
  ),
};
