/** The aggregates of one statement or two. */
import { sql } from 'kysely';
import { chainHash } from '../audit-chain.ts';
import type { AssertionJtiRecord, AuditEventRecord, SettingRecord } from '../records.ts';
import type { AuditStore, DeploymentStore, HealthStore, ReplayStore, SettingStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

const getDeployment = statement<object>()((db) => db.selectFrom('deployment').selectAll());

export const deployment: Verbs<DeploymentStore> = {
  get: read(async (db) => {
    const found = await db.first(getDeployment, {});
    if (!found) throw new Error('the deployment row is missing');
    return found;
  }),
};

const consumeJti = statement<AssertionJtiRecord & { now: number }>()((db, jti) =>
  db
    .insertInto('assertion_jtis')
    .values(columns(jti, ['id', 'expires_at']))
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet({ expires_at: jti.expires_at })
        .where('assertion_jtis.expires_at', '<=', jti.now),
    ),
);

export const replays: Verbs<ReplayStore> = {
  consume: write(async (db, input) => ({ first: (await db.run(consumeJti, input)) === 1 })),
};

const insertSetting = statement<SettingRecord>()((db, setting) =>
  db
    .insertInto('settings')
    .values(columns(setting, ['name', 'value', 'updated_at']))
    .onConflict((conflict) => conflict.doNothing()),
);
const upsertSetting = statement<SettingRecord>()((db, setting) =>
  db
    .insertInto('settings')
    .values(columns(setting, ['name', 'value', 'updated_at']))
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ value: setting.value, updated_at: setting.updated_at }),
    ),
);
const getSetting = statement<{ name: string }>()((db, { name }) =>
  db.selectFrom('settings').selectAll().where('name', '=', name),
);

export const settings: Verbs<SettingStore> = {
  get: read(async (db, input) => db.first(getSetting, input)),
  put: write(async (db, { setting, if_absent }) => {
    const changed = await db.run(if_absent ? insertSetting : upsertSetting, setting);
    if (changed === 1) return { outcome: 'put', value: setting.value };
    const kept = await db.first(getSetting, { name: setting.name });
    return { outcome: 'kept', value: kept?.value ?? setting.value };
  }),
};

const AUDIT_HEAD = 'audit.head';
/** Locks the end of the chain by writing it, so that appenders queue and no two share a predecessor. */
const holdHead = statement<{ name: string; at: number }>()((db, { name, at }) =>
  db.updateTable('settings').set({ updated_at: at }).where('name', '=', name).returning('value'),
);
const insertEvent = statement<AuditEventRecord>()((db, event) =>
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
const listEvents = statement<{ after: number; limit: number }>()((db, { after, limit }) =>
  db.selectFrom('audit_events').selectAll().where('sequence', '>', after).orderBy('sequence').limit(limit),
);

export const audit: Verbs<AuditStore> = {
  append: write(async (db, { event }) => {
    const head = await db.first(holdHead, { name: AUDIT_HEAD, at: event.at });
    if (!head) throw new Error('the end of the audit chain is missing');
    const [last = '0', previous_hash = ''] = head.value.split(':');
    const sequence = Number(last) + 1;
    const linked = { ...event, sequence, previous_hash };
    const hash = chainHash(linked);
    await db.run(insertEvent, { ...linked, hash });
    await db.run(upsertSetting, { name: AUDIT_HEAD, value: `${sequence}:${hash}`, updated_at: event.at });
    return { sequence };
  }),
  list: read(async (db, input) => db.all(listEvents, input)),
};

/** Changes nothing, but takes the road of every write: a read-only or full database fails it. */
const touchDeployment = statement<object>()((db) =>
  db.updateTable('deployment').set({ restore_epoch: sql<number>`restore_epoch` }),
);

export const health: Verbs<HealthStore> = {
  ping: write(async (db) => {
    await db.run(touchDeployment, {});
    return { ok: true };
  }),
};
