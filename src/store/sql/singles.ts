/** The aggregates of one statement or two. */
import type { AssertionJtiRecord, SettingRecord } from '../records.ts';
import type { DeploymentStore, HealthStore, ReplayStore, SettingStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { sweepJtis } from './sweep.ts';
import { read, type Verbs, write } from './verb.ts';

const getDeployment = statement<object>('singles.getDeployment')((db) =>
  db.selectFrom('deployment').selectAll(),
);

export const deployment: Verbs<DeploymentStore> = {
  get: read(async (db) => {
    const found = await db.first(getDeployment, {});
    if (!found) throw new Error('the deployment row is missing');
    return found;
  }),
};

const consumeJti = statement<AssertionJtiRecord & { now: number }>('singles.consumeJti')((db, jti) =>
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
  consume: write(async (db, input) => {
    const first = (await db.run(consumeJti, input)) === 1;
    await db.run(sweepJtis, { after: input.id, now: input.now });
    return { first };
  }),
};

const insertSetting = statement<SettingRecord>('singles.insertSetting')((db, setting) =>
  db
    .insertInto('settings')
    .values(columns(setting, ['name', 'value', 'updated_at']))
    .onConflict((conflict) => conflict.doNothing()),
);
const upsertSetting = statement<SettingRecord>('singles.upsertSetting')((db, setting) =>
  db
    .insertInto('settings')
    .values(columns(setting, ['name', 'value', 'updated_at']))
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ value: setting.value, updated_at: setting.updated_at }),
    ),
);
const getSetting = statement<{ name: string }>('singles.getSetting')((db, { name }) =>
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

/** Changes nothing, but takes the road of every write: a read-only or full database fails it. */
const touchDeployment = statement<object>('singles.touchDeployment')((db, _, sql) =>
  db.updateTable('deployment').set({ restore_epoch: sql<number>`restore_epoch` }),
);

export const health: Verbs<HealthStore> = {
  ping: write(async (db) => {
    await db.run(touchDeployment, {});
    return { ok: true };
  }),
};
