import type { PasswordRecord, UserRecord } from '../records.ts';
import type { Page, UserStore } from '../store.ts';
import { endSessionsOfUser, revokeFamiliesOfUser } from './endings.ts';
import { noteRevocation } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { read, type Transaction, type Verbs, write } from './verb.ts';

const USER = [
  'id',
  'username',
  'email',
  'email_verified',
  'status',
  'profile_json',
  'created_at',
  'updated_at',
] as const;

export const insertUser = statement<UserRecord>('users.insertUser')((db, user) =>
  db
    .insertInto('users')
    .values(columns(user, USER))
    .onConflict((conflict) => conflict.doNothing()),
);
export const insertPassword = statement<PasswordRecord>('users.insertPassword')((db, password) =>
  db.insertInto('passwords').values(columns(password, ['user_id', 'hash', 'changed_at'])),
);
/** The time of a change never goes back, whatever the clock does: a replay takes away the passwords up to it. */
const upsertPassword = statement<PasswordRecord>('users.upsertPassword')((db, password) =>
  db
    .insertInto('passwords')
    .values(columns(password, ['user_id', 'hash', 'changed_at']))
    .onConflict((conflict) =>
      conflict.column('user_id').doUpdateSet(({ eb, ref }) => ({
        hash: password.hash,
        changed_at: eb
          .case()
          .when('passwords.changed_at', '>', password.changed_at)
          .then(ref('passwords.changed_at'))
          .else(password.changed_at)
          .end(),
      })),
    )
    .returning('changed_at'),
);
export const findById = statement<{ id: string }>('users.findById')((db, { id }) =>
  db.selectFrom('users').selectAll().where('id', '=', id),
);
const findByLogin = statement<{ login: string }>('users.findByLogin')((db, { login }) =>
  db
    .selectFrom('users')
    .leftJoin('passwords', 'passwords.user_id', 'users.id')
    .selectAll('users')
    .select('passwords.hash as password_hash')
    .where((where) => where.or([where('users.username', '=', login), where('users.email', '=', login)]))
    // A user name that is somebody else's address must not shadow its owner: the user name wins.
    .orderBy((order) => order.case().when('users.username', '=', login).then(0).else(1).end())
    .limit(1),
);
const listUsers = statement<Page>('users.listUsers')((db, { after, limit }) =>
  db.selectFrom('users').selectAll().where('id', '>', after).orderBy('id').limit(limit),
);
const updateUser = statement<UserRecord>('users.updateUser')((db, user) =>
  db
    .updateTable('users')
    .set(columns(user, ['username', 'email', 'email_verified', 'profile_json', 'updated_at']))
    .where('id', '=', user.id),
);
export const setUserStatus = statement<{ id: string; status: UserRecord['status']; now: number }>(
  'users.setStatus',
)((db, { id, status, now }) => db.updateTable('users').set({ status, updated_at: now }).where('id', '=', id));
const replaceHash = statement<{ user_id: string; old_hash: string; new_hash: string }>('users.replaceHash')(
  (db, input) =>
    db
      .updateTable('passwords')
      .set({ hash: input.new_hash })
      .where('user_id', '=', input.user_id)
      .where('hash', '=', input.old_hash),
);
export const deleteUser = statement<{ id: string }>('users.deleteUser')((db, { id }) =>
  db.deleteFrom('users').where('id', '=', id),
);

/** A person who is locked out, or whose password was stolen, must not live on in sessions and tokens. */
export async function endEverything(
  db: Transaction,
  user_id: string,
  now: number,
  reason: string,
): Promise<void> {
  await db.run(endSessionsOfUser, { user_id, except: '', now });
  await db.run(revokeFamiliesOfUser, { user_id, except_session: '', now, reason });
}

export const users: Verbs<UserStore> = {
  create: write(async (db, { user, password_hash }) => {
    if ((await db.run(insertUser, user)) === 0) return { outcome: 'taken' };
    if (password_hash !== null) {
      await db.run(insertPassword, { user_id: user.id, hash: password_hash, changed_at: user.created_at });
    }
    return { outcome: 'created' };
  }),
  find: read(async (db, input) => db.first(findById, input)),
  findByLogin: read(async (db, input) => db.first(findByLogin, input)),
  list: read(async (db, input) => db.all(listUsers, input)),
  update: write(
    async (db, { user }) => ({ outcome: (await db.run(updateUser, user)) === 1 ? 'updated' : 'unknown' }),
    { outcome: 'taken' },
  ),
  setPassword: write(
    async (db, password) => {
      const { user_id } = password;
      const at = (await db.first(upsertPassword, password))?.changed_at ?? password.changed_at;
      await endEverything(db, user_id, at, 'password_changed');
      await noteRevocation(db, { kind: 'password_changed', at, user_id });
      return { outcome: 'set' };
    },
    { outcome: 'unknown' },
  ),
  rehashPassword: write(async (db, input) => {
    await db.run(replaceHash, input);
  }),
  setStatus: write(async (db, input) => {
    if ((await db.run(setUserStatus, input)) === 0) return { outcome: 'unknown' };
    const { id: user_id, now: at } = input;
    if (input.status === 'disabled') await endEverything(db, user_id, at, 'user_disabled');
    const kind = input.status === 'disabled' ? 'user_disabled' : 'user_enabled';
    await noteRevocation(db, { kind, at, user_id });
    return { outcome: 'set' };
  }),
  remove: write(async (db, { id, now }) => {
    if ((await db.run(deleteUser, { id })) === 0) return { outcome: 'unknown' };
    await noteRevocation(db, { kind: 'user_removed', at: now, user_id: id });
    return { outcome: 'removed' };
  }),
};
