import type { LeaseRecord } from '../records.ts';
import type { LeaseStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write, writeOnce } from './verb.ts';

// One row a name: whoever comes second finds it and changes nothing, unless the first has let it run out.
const acquireLease = statement<LeaseRecord>('leases.acquireLease')((db, lease) =>
  db
    .insertInto('leases')
    .values(columns(lease, ['name', 'holder', 'acquired_at', 'held_until']))
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({
          holder: lease.holder,
          acquired_at: lease.acquired_at,
          held_until: lease.held_until,
        })
        .where('leases.held_until', '<=', lease.acquired_at),
    ),
);
const findLease = statement<{ name: string }>('leases.findLease')((db, { name }) =>
  db.selectFrom('leases').selectAll().where('name', '=', name),
);
const renewLease = statement<Pick<LeaseRecord, 'name' | 'holder' | 'held_until'>>('leases.renewLease')(
  (db, { name, holder, held_until }) =>
    db.updateTable('leases').set({ held_until }).where('name', '=', name).where('holder', '=', holder),
);
const releaseLease = statement<Pick<LeaseRecord, 'name' | 'holder'>>('leases.releaseLease')(
  (db, { name, holder }) => db.deleteFrom('leases').where('name', '=', name).where('holder', '=', holder),
);

export const leases: Verbs<LeaseStore> = {
  acquire: write(async (db, { lease }) => {
    if ((await db.run(acquireLease, lease)) === 1) return { outcome: 'acquired' };
    return { outcome: 'held', by: await db.first(findLease, lease) };
  }),
  find: read(async (db, input) => db.first(findLease, input)),
  renew: writeOnce(
    renewLease,
    (input) => input,
    (changed) => ({ outcome: changed === 1 ? 'renewed' : 'lost' }),
  ),
  release: writeOnce(
    releaseLease,
    (input) => input,
    () => undefined,
  ),
};
