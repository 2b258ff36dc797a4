/** The aggregates of one statement or two. */
import type { AssertionJtiRecord, SettingRecord } from '../records.ts';
import type { DeploymentStore, HealthStore, ReplayStore, SettingStore } from '../store.ts';
import { noteRevocation } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { sweepJtis } from './sweep.ts';
import { read, readShared, type Verbs, write, writeOnce } from './verb.ts';

export const getDeployment = statement<object>('singles.getDeployment')((db) =>
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
export const upsertSetting = statement<SettingRecord>('singles.upsertSetting')((db, setting) =>
  db
    .insertInto('settings')
    .values(columns(setting, ['name', 'value', 'updated_at']))
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ value: setting.value, updated_at: setting.updated_at }),
    ),
);
/** The time never goes back, whatever the clock does: a replay takes away what was set up to it. */
const replaceSetting = statement<SettingRecord>('singles.replaceSetting')((db, setting) =>
  db
    .insertInto('settings')
    .values(columns(setting, ['name', 'value', 'updated_at']))
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet(({ eb, ref }) => ({
        value: setting.value,
        updated_at: eb
          .case()
          .when('settings.updated_at', '>', setting.updated_at)
          .then(ref('settings.updated_at'))
          .else(setting.updated_at)
          .end(),
      })),
    )
    .returning('updated_at'),
);
const swapSetting = statement<SettingRecord & { former: string }>('singles.swapSetting')((db, setting) =>
  db
    .updateTable('settings')
    .set({ value: setting.value, updated_at: setting.updated_at })
    .where('name', '=', setting.name)
    .where('value', '=', setting.former),
);
export const getSetting = statement<{ name: string }>('singles.getSetting')((db, { name }) =>
  db.selectFrom('settings').selectAll().where('name', '=', name),
);

export const settings: Verbs<SettingStore> = {
  get: readShared(async (db, input) => db.first(getSetting, input)),
  put: write(async (db, { setting, if_absent }) => {
    const changed = await db.run(if_absent ? insertSetting : upsertSetting, setting);
    if (changed === 1) return { outcome: 'put', value: setting.value };
    const kept = await db.first(getSetting, { name: setting.name });
    return { outcome: 'kept', value: kept?.value ?? setting.value };
  }),
  rotate: write(async (db, { setting }) => {
    const at = (await db.first(replaceSetting, setting))?.updated_at ?? setting.updated_at;
    const { name: subject } = setting;
    await noteRevocation(db, { kind: 'setting_rotated', at, subject });
  }),
  swap: writeOnce(
    swapSetting,
    ({ setting, former }) => ({ ...setting, former }),
    (changed) => ({ outcome: changed === 1 ? 'swapped' : 'changed' }),
  ),
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
