/** The audit chain: each event holds the hash of the one before it, so appending is a matter of one at a time. */
import { chainHash } from '../audit-chain.ts';
import type { AuditEventRecord } from '../records.ts';
import type { AuditLink, AuditStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

/** The setting that holds the end of the chain: `sequence:hash`. */
export const AUDIT_HEAD = 'audit.head';
/** The setting that holds the last event that was purged; the chain begins after it. */
export const AUDIT_TAIL = 'audit.tail';

/** Locks the end of the chain by writing it, so that appenders queue and no two share a predecessor. */
const holdHead = statement<{ name: string; at: number }>('audit.holdHead')((db, { name, at }) =>
  db.updateTable('settings').set({ updated_at: at }).where('name', '=', name).returning('value'),
);
const moveHead = statement<{ name: string; value: string }>('audit.moveHead')((db, { name, value }) =>
  db.updateTable('settings').set({ value }).where('name', '=', name),
);
export const findTail = statement<{ name: string }>('audit.findTail')((db, { name }) =>
  db.selectFrom('settings').select('value').where('name', '=', name),
);
const insertEvent = statement<AuditEventRecord>('audit.insertEvent')((db, event) =>
  db
    .insertInto('audit_events')
    .values(
      columns(event, [
        'sequence',
        'at',
        'action',
        'actor',
        'client_id',
        'user_id',
        'ip',
        'detail_json',
        'previous_hash',
        'hash',
      ]),
    ),
);
const listEvents = statement<{ after: number; limit: number }>('audit.listEvents')((db, { after, limit }) =>
  db.selectFrom('audit_events').selectAll().where('sequence', '>', after).orderBy('sequence').limit(limit),
);

/** A place in the chain as a setting holds it; without one, the place before the first event. */
export function readLink(setting: { readonly value: string } | undefined): AuditLink {
  const [sequence = '0', hash = ''] = setting?.value.split(':') ?? [];
  return { sequence: Number(sequence), hash };
}

export const audit: Verbs<AuditStore> = {
  append: write(async (db, { event }) => {
    const head = await db.first(holdHead, { name: AUDIT_HEAD, at: event.at });
    if (!head) throw new Error('the end of the audit chain is missing');
    const last = readLink(head);
    const sequence = last.sequence + 1;
    const linked = { ...event, sequence, previous_hash: last.hash };
    const hash = chainHash(linked);
    await db.run(insertEvent, { ...linked, hash });
    await db.run(moveHead, { name: AUDIT_HEAD, value: `${sequence}:${hash}` });
    return { sequence };
  }),
  list: read(async (db, input) => db.all(listEvents, input)),
  beginning: read(async (db) => readLink(await db.first(findTail, { name: AUDIT_TAIL }))),
};
