import type { DataKeyRecord } from '../records.ts';
import type { DataKeyStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write, writeOnce } from './verb.ts';

const listDataKeys = statement<object>('dataKeys.listDataKeys')((db) =>
  db.selectFrom('data_keys').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc'),
);
// Changes nothing: who adds a key takes hold of the one row there is, and the next one waits to see it.
const takeTurn = statement<object>('dataKeys.takeTurn')((db, _, sql) =>
  db.updateTable('deployment').set({ restore_epoch: sql<number>`restore_epoch` }),
);
const insertDataKey = statement<DataKeyRecord>('dataKeys.insertDataKey')((db, key) =>
  db
    .insertInto('data_keys')
    .values(columns(key, ['id', 'master_key_id', 'wrapped', 'check_value', 'created_at', 'rewrapped_at'])),
);
const rewrapDataKey = statement<{
  id: string;
  former: string;
  wrapped: string;
  master_key_id: string;
  now: number;
}>('dataKeys.rewrapDataKey')((db, { id, former, wrapped, master_key_id, now }) =>
  db
    .updateTable('data_keys')
    .set({ wrapped, master_key_id, rewrapped_at: now })
    .where('id', '=', id)
    .where('wrapped', '=', former),
);
// Whatever is sealed under it decides: the foreign key would refuse what came in between.
const removeUnused = statement<{ id: string }>('dataKeys.removeUnused')((db, { id }) =>
  db
    .deleteFrom('data_keys')
    .where('id', '=', id)
    .where((where) =>
      where.not(
        where.exists(db.selectFrom('private_keys').select('kid').where('private_keys.data_key_id', '=', id)),
      ),
    ),
);

const abandonRows = statement<{ master_key_id: string }>('dataKeys.abandonRows')((db, { master_key_id }) =>
  db
    .deleteFrom('private_keys')
    .where(
      'data_key_id',
      'in',
      db.selectFrom('data_keys').select('id').where('master_key_id', '=', master_key_id),
    ),
);
const abandonKeys = statement<{ master_key_id: string }>('dataKeys.abandonKeys')((db, { master_key_id }) =>
  db.deleteFrom('data_keys').where('master_key_id', '=', master_key_id),
);

export const dataKeys: Verbs<DataKeyStore> = {
  list: read(async (db) => db.all(listDataKeys, {})),
  add: write(async (db, { key, newest }) => {
    await db.run(takeTurn, {});
    const found = await db.first(listDataKeys, {});
    if ((found?.id ?? null) !== newest) return { outcome: 'outdated' };
    await db.run(insertDataKey, key);
    return { outcome: 'added' };
  }),
  rewrap: writeOnce(
    rewrapDataKey,
    (input) => input,
    (changed) => ({ outcome: changed === 1 ? 'rewrapped' : 'changed' }),
  ),
  removeUnused: write(
    async (db, input) =>
      ({ outcome: (await db.run(removeUnused, input)) === 1 ? 'removed' : 'used' }) as const,
    { outcome: 'used' },
  ),
  abandon: write(async (db, input) => {
    await db.run(takeTurn, {});
    const rows = await db.run(abandonRows, input);
    return { rows, data_keys: await db.run(abandonKeys, input) };
  }),
};
