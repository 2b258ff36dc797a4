/** What a restored database needs besides the replay of revocations; which steps, and in which order, is said in ops/restore. */
import type { DeploymentRecord } from '../records.ts';
import { RESTORED_AT } from '../restored-at.ts';
import type { AftercareStore, Page } from '../store.ts';
import { getDeployment, getSetting, upsertSetting } from './singles.ts';
import { type Statement, statement } from './statement.ts';
import { read, type Transaction, type Verbs, write } from './verb.ts';

const moveEpoch = statement<{ least_epoch: number }>('aftercare.moveEpoch')((db, { least_epoch }) =>
  db.updateTable('deployment').set({ restore_epoch: least_epoch }).where('restore_epoch', '<', least_epoch),
);

// A redeemed code stays: one that comes back must still end what its first use founded.
const voidCodes = statement<object>('aftercare.voidCodes')((db) =>
  db.deleteFrom('auth_codes').where('redeemed_at', 'is', null),
);
const voidRequests = statement<object>('aftercare.voidRequests')((db) =>
  db.deleteFrom('authorization_requests'),
);
const voidPushed = statement<object>('aftercare.voidPushed')((db) => db.deleteFrom('pushed_requests'));
const voidDeviceCodes = statement<object>('aftercare.voidDeviceCodes')((db) => db.deleteFrom('device_codes'));
const voidVerifications = statement<object>('aftercare.voidVerifications')((db) =>
  db.deleteFrom('verification_tokens'),
);
const voidStates = statement<object>('aftercare.voidStates')((db) => db.deleteFrom('connect_pending_states'));
const voidNonces = statement<object>('aftercare.voidNonces')((db) => db.deleteFrom('dpop_nonces'));
// How often it has been used since is not known.
const voidInitialTokens = statement<object>('aftercare.voidInitialTokens')((db) =>
  db.deleteFrom('initial_access_tokens').where('uses_left', 'is not', null),
);
const voidLeases = statement<object>('aftercare.voidLeases')((db) => db.deleteFrom('leases'));

const nextSessions = statement<Page>('aftercare.nextSessions')((db, { after, limit }) =>
  db.selectFrom('sessions').select('id').where('id', '>', after).orderBy('id').limit(limit),
);
const endSessions = statement<Stretch>('aftercare.endSessions')((db, { after, last, now }) =>
  db
    .updateTable('sessions')
    .set({ ended_at: now })
    .where('id', '>', after)
    .where('id', '<=', last)
    .where('ended_at', 'is', null),
);
const nextFamilies = statement<Page>('aftercare.nextFamilies')((db, { after, limit }) =>
  db.selectFrom('token_families').select('id').where('id', '>', after).orderBy('id').limit(limit),
);
const revokeFamilies = statement<Stretch>('aftercare.revokeFamilies')((db, { after, last, now }) =>
  db
    .updateTable('token_families')
    .set({ revoked_at: now, revoked_reason: 'restored' })
    .where('id', '>', after)
    .where('id', '<=', last)
    .where('revoked_at', 'is', null),
);
const promotePending = statement<{ now: number }>('aftercare.promotePending')((db, { now }) =>
  db
    .updateTable('signing_keys')
    .set({ state: 'active', activated_at: now })
    .where('state', '=', 'pending')
    .where((where) =>
      where.not(
        where.exists(
          db.selectFrom('signing_keys as other').select('kid').where('other.state', '=', 'active'),
        ),
      ),
    )
    .returning('kid'),
);
const withoutPassword = statement<{ restored_at: number; limit: number }>('aftercare.withoutPassword')(
  (db, { restored_at, limit }) =>
    db
      .selectFrom('users')
      .leftJoin('passwords', 'passwords.user_id', 'users.id')
      .select('users.id')
      .where('passwords.user_id', 'is', null)
      .where('users.status', '=', 'active')
      .where('users.id', 'in', (where) =>
        where
          .selectFrom('revocations')
          .select((select) => select.ref('revocations.user_id').$notNull().as('user_id'))
          .where('restored_at', '=', restored_at)
          .where('kind', '=', 'password_changed')
          .where('replayed_at', 'is not', null),
      )
      .orderBy('users.id')
      .limit(limit),
);
const withoutSecret = statement<{ restored_at: number; limit: number }>('aftercare.withoutSecret')(
  (db, { restored_at, limit }) =>
    db
      .selectFrom('clients')
      .select('clients.id')
      .where('clients.status', '=', 'active')
      .where('token_endpoint_auth_method', 'in', ['client_secret_basic', 'client_secret_post'])
      .where((where) =>
        where.not(
          where.exists(
            where
              .selectFrom('client_secrets')
              .select('client_secrets.id')
              .whereRef('client_secrets.client_id', '=', 'clients.id')
              .where('expires_at', 'is', null),
          ),
        ),
      )
      .where('clients.id', 'in', (where) =>
        where
          .selectFrom('revocations')
          .select((select) => select.ref('revocations.client_id').$notNull().as('client_id'))
          .where('restored_at', '=', restored_at)
          .where('kind', '=', 'client_secret_rotated')
          .where('replayed_at', 'is not', null),
      )
      .orderBy('clients.id')
      .limit(limit),
);
const withoutKey = statement<{ restored_at: number; limit: number }>('aftercare.withoutKey')(
  (db, { restored_at, limit }) =>
    db
      .selectFrom('clients')
      .select('clients.id')
      .where('clients.status', '=', 'active')
      .where('token_endpoint_auth_method', '=', 'private_key_jwt')
      .where('jwks_json', 'is', null)
      .where('clients.id', 'in', (where) =>
        where
          .selectFrom('revocations')
          .select((select) => select.ref('revocations.client_id').$notNull().as('client_id'))
          .where('restored_at', '=', restored_at)
          .where('kind', '=', 'client_narrowed')
          .where('replayed_at', 'is not', null),
      )
      .orderBy('clients.id')
      .limit(limit),
);

/** Rows after an id and up to another. */
interface Stretch {
  readonly after: string;
  readonly last: string;
  readonly now: number;
}

/** Changes the live ones among the rows that follow, in the order of their ids. */
async function changeNext(
  db: Transaction,
  [next, change]: readonly [Statement<Page, { id: string }>, Statement<Stretch, unknown>],
  { after, limit, now }: Page & { readonly now: number },
): Promise<{ changed: number; next: string | null }> {
  const rows = await db.all(next, { after, limit });
  const last = rows.at(-1)?.id;
  if (last === undefined) return { changed: 0, next: null };
  return { changed: await db.run(change, { after, last, now }), next: rows.length < limit ? null : last };
}

const epochOf = async (db: Transaction): Promise<{ epoch: number }> => {
  const deployment: DeploymentRecord | undefined = await db.first(getDeployment, {});
  if (!deployment) throw new Error('the deployment row is missing');
  return { epoch: deployment.restore_epoch };
};

export const aftercare: Verbs<AftercareStore> = {
  begin: write(async (db, { now, least_epoch }) => {
    const begun = await db.first(getSetting, { name: RESTORED_AT });
    const { epoch } = await epochOf(db);
    if (begun?.value === String(now)) return { epoch };
    await db.run(upsertSetting, { name: RESTORED_AT, value: String(now), updated_at: now });
    await db.run(moveEpoch, { least_epoch: Math.max(epoch + 1, least_epoch) });
    return epochOf(db);
  }),
  raiseEpoch: write(async (db, input) => {
    await db.run(moveEpoch, input);
    return epochOf(db);
  }),
  voidOnce: write(async (db) => ({
    auth_codes: await db.run(voidCodes, {}),
    authorization_requests: await db.run(voidRequests, {}),
    pushed_requests: await db.run(voidPushed, {}),
    device_codes: await db.run(voidDeviceCodes, {}),
    verification_tokens: await db.run(voidVerifications, {}),
    connect_pending_states: await db.run(voidStates, {}),
    dpop_nonces: await db.run(voidNonces, {}),
    initial_access_tokens: await db.run(voidInitialTokens, {}),
    leases: await db.run(voidLeases, {}),
  })),
  endSessions: write((db, input) => changeNext(db, [nextSessions, endSessions], input)),
  revokeFamilies: write((db, input) => changeNext(db, [nextFamilies, revokeFamilies], input)),
  promoteKey: write(async (db, input) => ({ kid: (await db.first(promotePending, input))?.kid ?? null })),
  listWithoutPassword: read(async (db, input) => (await db.all(withoutPassword, input)).map(({ id }) => id)),
  listWithoutSecret: read(async (db, input) => (await db.all(withoutSecret, input)).map(({ id }) => id)),
  listWithoutKey: read(async (db, input) => (await db.all(withoutKey, input)).map(({ id }) => id)),
};
