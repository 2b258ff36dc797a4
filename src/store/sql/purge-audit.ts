/**
 * Old audit events go from the beginning of the chain only, and where the chain begins now is kept in the same unit of work:
 * a chain that begins anywhere else has been cut by somebody else.
 */
import type { AuditEventRecord } from '../records.ts';
import type { PurgeWindow } from '../store.ts';
import { AUDIT_TAIL, findTail, readLink } from './audit.ts';
import { type PurgeLookVerb, type PurgeVerb, timed } from './purge-walk.ts';
import { statement } from './statement.ts';
import { type Reader, read, write } from './verb.ts';

type Old = Pick<AuditEventRecord, 'sequence' | 'at' | 'hash'>;

/** Locks the beginning of the chain by writing it, so that two purges do not move it against each other. */
const holdTail = statement<{ name: string; value: string; updated_at: number }>('purge-audit.holdTail')(
  (db, tail) =>
    db
      .insertInto('settings')
      .values({ name: tail.name, value: tail.value, updated_at: tail.updated_at })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ updated_at: tail.updated_at }))
      .returning('value'),
);
const moveTail = statement<{ name: string; value: string }>('purge-audit.moveTail')((db, { name, value }) =>
  db.updateTable('settings').set({ value }).where('name', '=', name),
);
const listOldest = statement<{ after: number; look: number }>('purge-audit.listOldest')(
  (db, { after, look }) =>
    db
      .selectFrom('audit_events')
      .select(['sequence', 'at', 'hash'])
      .where('sequence', '>', after)
      .orderBy('sequence')
      .limit(look),
);
const deleteUpTo = statement<{ sequence: number }>('purge-audit.deleteUpTo')((db, { sequence }) =>
  db.deleteFrom('audit_events').where('sequence', '<=', sequence),
);

/** The events at the beginning of the chain that are old enough; those behind a younger one wait for it. */
async function oldestOf(db: Reader, after: number, { look, until }: PurgeWindow) {
  const events: Old[] = await db.all(listOldest, { after, look });
  const young = events.findIndex(({ at }) => at > until);
  const ripe = young === -1 ? events : events.slice(0, young);
  return {
    ripe,
    last: ripe.at(-1),
    next: ripe.length < look ? null : { from: ripe.at(-1)?.sequence ?? 0, skip: 0 },
  };
}

export const purgeAuditEvents: PurgeVerb = write((db, input) =>
  timed(async () => {
    const held = await db.first(holdTail, { name: AUDIT_TAIL, value: '0:', updated_at: input.ended });
    const { last, next } = await oldestOf(db, readLink(held).sequence, input);
    if (!last) return { gone: 0, next };
    const gone = await db.run(deleteUpTo, { sequence: last.sequence });
    await db.run(moveTail, { name: AUDIT_TAIL, value: `${last.sequence}:${last.hash}` });
    return { gone, next };
  }),
);

export const lookAtAuditEvents: PurgeLookVerb = read(async (db, input) => {
  const after = Number(
    input.place?.from ?? readLink(await db.first(findTail, { name: AUDIT_TAIL })).sequence,
  );
  const { ripe, next } = await oldestOf(db, after, input);
  return { looked: ripe.length, ripe: ripe.length, oldest: ripe[0]?.at ?? null, next };
});
