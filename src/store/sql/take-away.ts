/**
 * Revocations once more, on rows of a time before them. Each verb takes away what one kind took, and marks the revocation as
 * replayed in the same unit of work. None gives anything that the rows did not hold: `enabled` only takes back a `disabled`
 * that this restore has replayed itself.
 */
import type { IssuanceRecord, Revocation, SigningKeyRecord } from '../records.ts';
import type { TakeAway, TakeAwayStore } from '../store.ts';
import { type Narrowing, narrowed } from './client-narrowing.ts';
import { deleteClient, holdClient, setClientStatus, updateClient } from './clients.ts';
import { deleteConsents, voidCodes } from './consents.ts';
import {
  endSession,
  endSessionsOfUser,
  revokeFamiliesOfGrant,
  revokeFamiliesOfUser,
  revokeFamily,
  revokeOnlineFamiliesOfSession,
} from './endings.ts';
import { insertKey } from './keys.ts';
import { deleteResource, holdResource, updateResource, withoutScopes } from './resources.ts';
import { columns, statement } from './statement.ts';
import { deleteUser, endEverything } from './users.ts';
import { type Transaction, type Verbs, type WriteVerb, write } from './verb.ts';

const markReplayed = statement<{ id: string; now: number }>('take-away.markReplayed')((db, { id, now }) =>
  db.updateTable('revocations').set({ replayed_at: now }).where('id', '=', id),
);
/** The password of then. One that is newer was set in another life of this database, and is not the one that was revoked. */
const deletePassword = statement<{ user_id: string; at: number }>('take-away.deletePassword')(
  (db, { user_id, at }) =>
    db.deleteFrom('passwords').where('user_id', '=', user_id).where('changed_at', '<=', at),
);
type Party = { id: string; at: number };
const disableUser = statement<Party>('take-away.disableUser')((db, { id, at }) =>
  db
    .updateTable('users')
    .set({ status: 'disabled', updated_at: at })
    .where('id', '=', id)
    .where('status', '=', 'active'),
);
/** What was disabled by a replay bears the time of that. */
const enableUser = statement<Party & { restored_at: number }>('take-away.enableUser')(
  (db, { id, at, restored_at }) =>
    db
      .updateTable('users')
      .set({ status: 'active', updated_at: at })
      .where('id', '=', id)
      .where('status', '=', 'disabled')
      .where(({ exists, selectFrom, ref }) =>
        exists(
          selectFrom('revocations')
            .select('revocations.id')
            .where('restored_at', '=', restored_at)
            .where('user_id', '=', id)
            .where('kind', '=', 'user_disabled')
            .where('at', '=', ref('users.updated_at'))
            .where('replayed_at', 'is not', null),
        ),
      ),
);
const disableClient = statement<Party>('take-away.disableClient')((db, { id, at }) =>
  db
    .updateTable('clients')
    .set({ status: 'disabled', updated_at: at })
    .where('id', '=', id)
    .where('status', '=', 'active'),
);
const enableClient = statement<Party & { restored_at: number }>('take-away.enableClient')(
  (db, { id, at, restored_at }) =>
    db
      .updateTable('clients')
      .set({ status: 'active', updated_at: at })
      .where('id', '=', id)
      .where('status', '=', 'disabled')
      .where(({ exists, selectFrom, ref }) =>
        exists(
          selectFrom('revocations')
            .select('revocations.id')
            .where('restored_at', '=', restored_at)
            .where('user_id', 'is', null)
            .where('client_id', '=', id)
            .where('kind', '=', 'client_disabled')
            .where('at', '=', ref('clients.updated_at'))
            .where('replayed_at', 'is not', null),
        ),
      ),
);
const expireFormerSecrets = statement<{ client_id: string; at: number; end: number }>(
  'take-away.expireFormerSecrets',
)((db, { client_id, at, end }) =>
  db
    .updateTable('client_secrets')
    .set({ expires_at: end })
    .where('client_id', '=', client_id)
    .where('created_at', '<=', at)
    .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', end)])),
);
/** A token that these rows have never heard of is kept as a revoked one, so that they can say so until it runs out. */
const revokeToken = statement<IssuanceRecord>('take-away.revokeToken')((db, token) =>
  db
    .insertInto('issuances')
    .values(
      columns(token, [
        'jti',
        'family_id',
        'user_id',
        'client_id',
        'kid',
        'issued_at',
        'expires_at',
        'revoked_at',
      ]),
    )
    .onConflict((conflict) =>
      conflict
        .column('jti')
        .doUpdateSet({ revoked_at: token.revoked_at })
        .where('issuances.revoked_at', 'is', null),
    ),
);
const dropKey = statement<{ kid: string; at: number }>('take-away.dropKey')((db, { kid, at }) =>
  db
    .updateTable('signing_keys')
    .set({ state: 'compromised', retires_at: null, retired_at: at })
    .where('kid', '=', kid)
    .where('state', '<>', 'compromised'),
);
const deleteSetting = statement<{ name: string; at: number }>('take-away.deleteSetting')((db, { name, at }) =>
  db.deleteFrom('settings').where('name', '=', name).where('updated_at', '<=', at),
);

type Take = (db: Transaction, revocation: Taken, input: TakeAway) => Promise<unknown>;

/** A revocation whose parts are there; which ones a kind has is said in revocations.ts. */
interface Taken extends Revocation {
  readonly user_id: string;
  readonly client_id: string;
  readonly subject: string;
}

function again(take: Take): WriteVerb<TakeAway, void> {
  return write(async (db, input) => {
    await take(db, input.revocation as Taken, input);
    await db.run(markReplayed, { id: input.revocation.id, now: input.now });
  });
}

function detailOf<Detail>({ detail_json }: Revocation): Partial<Detail> {
  return JSON.parse(detail_json) as Partial<Detail>;
}

async function endSessionAgain(db: Transaction, revocation: Taken): Promise<void> {
  const { subject: id, user_id, at: now } = revocation;
  const reason = 'session_ended';
  await db.run(endSession, { id, user_id, now });
  await db.run(revokeOnlineFamiliesOfSession, { session_id: id, now, reason });
  for (const family of detailOf<{ families: string[] }>(revocation).families ?? [])
    await db.run(revokeFamily, { id: family, now, reason });
}

async function narrowAgain(db: Transaction, revocation: Taken): Promise<void> {
  const client = await db.first(holdClient, { id: revocation.client_id });
  if (!client) return;
  const next = narrowed(client, detailOf<Narrowing>(revocation));
  await db.run(updateClient, next);
  if (next.status !== client.status) await db.run(setClientStatus, next);
}

async function narrowResourceAgain(db: Transaction, revocation: Taken): Promise<void> {
  const resource = await db.first(holdResource, { id: revocation.subject });
  const { scopes = [] } = detailOf<{ scopes: string[] }>(revocation);
  if (resource) await db.run(updateResource, withoutScopes(resource, scopes));
}

async function dropKeyAgain(db: Transaction, revocation: Taken): Promise<void> {
  const { subject: kid, at } = revocation;
  if ((await db.run(dropKey, { kid, at })) > 0) return;
  const key = detailOf<SigningKeyRecord>(revocation) as SigningKeyRecord;
  await db.run(insertKey, { ...key, kid, state: 'compromised', retires_at: null, retired_at: at });
}

export const takeAway: Verbs<TakeAwayStore> = {
  password_changed: again(async (db, { user_id, at }) => {
    await db.run(deletePassword, { user_id, at });
    await endEverything(db, user_id, at, 'password_changed');
  }),
  user_disabled: again(async (db, { user_id: id, at }) => {
    await db.run(disableUser, { id, at });
    await endEverything(db, id, at, 'user_disabled');
  }),
  user_enabled: again((db, { user_id: id, at }, { restored_at }) =>
    Promise.resolve(db.run(enableUser, { id, at, restored_at })),
  ),
  user_removed: again((db, { user_id: id }) => Promise.resolve(db.run(deleteUser, { id }))),
  session_ended: again(endSessionAgain),
  sessions_ended: again(async (db, revocation) => {
    const { user_id, at: now } = revocation;
    const { except = '' } = detailOf<{ except: string }>(revocation);
    await db.run(endSessionsOfUser, { user_id, except, now });
    await db.run(revokeFamiliesOfUser, { user_id, except_session: except, now, reason: 'sessions_ended' });
  }),
  family_revoked: again(async (db, revocation) => {
    const { subject: id, at: now } = revocation;
    await db.run(revokeFamily, { id, now, reason: detailOf<{ reason: string }>(revocation).reason ?? '' });
  }),
  grant_withdrawn: again(async (db, { user_id, client_id, at: now }) => {
    await db.run(deleteConsents, { user_id, client_id });
    await db.run(voidCodes, { user_id, client_id });
    await db.run(revokeFamiliesOfGrant, { user_id, client_id, now, reason: 'consent_withdrawn' });
  }),
  token_revoked: again(async (db, revocation, { now }) => {
    const token = detailOf<IssuanceRecord>(revocation) as IssuanceRecord;
    if (token.expires_at <= now) return;
    await db.run(revokeToken, { ...token, jti: revocation.subject, revoked_at: revocation.at });
  }),
  client_disabled: again((db, { client_id: id, at }) => Promise.resolve(db.run(disableClient, { id, at }))),
  client_enabled: again((db, { client_id: id, at }, { restored_at }) =>
    Promise.resolve(db.run(enableClient, { id, at, restored_at })),
  ),
  client_removed: again((db, { client_id: id }) => Promise.resolve(db.run(deleteClient, { id }))),
  client_narrowed: again(narrowAgain),
  client_secret_rotated: again(async (db, revocation) => {
    const { client_id, at } = revocation;
    const { former_expire_at: end = at } = detailOf<{ former_expire_at: number }>(revocation);
    await db.run(expireFormerSecrets, { client_id, at, end });
  }),
  resource_removed: again((db, { subject: id }) => Promise.resolve(db.run(deleteResource, { id }))),
  resource_narrowed: again(narrowResourceAgain),
  key_compromised: again(dropKeyAgain),
  setting_rotated: again((db, { subject: name, at }) => Promise.resolve(db.run(deleteSetting, { name, at }))),
};
