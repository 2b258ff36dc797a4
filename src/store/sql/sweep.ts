/**
 * What strangers can fill is kept small by those who fill it: each new row forgets the expired ones among the few that
 * follow it in the order of ids. Ids are hashes, so that writers clean at different places and do not wait for one another,
 * and the work is the same however much has piled up.
 */
import { type Builder, statement } from './statement.ts';

const NEIGHBOURS = 20;

type Table = 'authorization_requests' | 'login_failures' | 'assertion_jtis';
type Place = { after: string; now: number };

export const sweepRequests = statement<Place>('sweep.sweepRequests')((db, place) =>
  sweep(db, 'authorization_requests', place),
);
export const sweepFailures = statement<Place>('sweep.sweepFailures')((db, place) =>
  sweep(db, 'login_failures', place),
);
export const sweepJtis = statement<Place>('sweep.sweepJtis')((db, place) =>
  sweep(db, 'assertion_jtis', place),
);

function sweep(db: Builder, table: Table, { after, now }: Place) {
  // They differ in nothing that matters here.
  const any = table as 'assertion_jtis';
  return db
    .deleteFrom(any)
    .where('expires_at', '<=', now)
    .where(
      'id',
      'in',
      db.selectFrom(any).select('id').where('id', '>', after).orderBy('id').limit(NEIGHBOURS),
    );
}
