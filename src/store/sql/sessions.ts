import type { SessionRecord } from '../records.ts';
import type { SessionStore } from '../store.ts';
import {
  endSession,
  endSessionsOfUser,
  moveFamilies,
  revokeFamiliesOfUser,
  revokeOnlineFamiliesOfSession,
} from './endings.ts';
import { noteRevocation } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { read, type Transaction, type Verbs, write } from './verb.ts';

const SESSION = [
  'id',
  'token_hash',
  'user_id',
  'auth_time',
  'acr',
  'amr_json',
  'ip',
  'user_agent',
  'created_at',
  'last_seen_at',
  'expires_at',
  'absolute_expires_at',
  'ended_at',
] as const;

const insertSession = statement<SessionRecord>('sessions.insertSession')((db, session) =>
  db.insertInto('sessions').values(columns(session, SESSION)),
);
const findLive = statement<{ token_hash: string; now: number }>('sessions.findLive')(
  (db, { token_hash, now }) =>
    db
      .selectFrom('sessions')
      .innerJoin('users', 'users.id', 'sessions.user_id')
      .selectAll('sessions')
      .select('users.username')
      .where('sessions.token_hash', '=', token_hash)
      .where('sessions.ended_at', 'is', null)
      .where('sessions.expires_at', '>', now)
      .where('users.status', '=', 'active'),
);
/**
 * Is the user still active, the password still the one that was checked? Writing the rows, not just reading them, makes a
 * changed password or a disabled user that runs at the same moment wait its turn and see the session that starts here.
 */
const holdUser = statement<{ user_id: string }>('sessions.holdUser')((db, { user_id }, sql) =>
  db
    .updateTable('users')
    .set({ status: sql<'active'>`status` })
    .where('id', '=', user_id)
    .where('status', '=', 'active'),
);
const holdPassword = statement<{ user_id: string; hash: string }>('sessions.holdPassword')(
  (db, { user_id, hash }, sql) =>
    db
      .updateTable('passwords')
      .set({ changed_at: sql<number>`changed_at` })
      .where('user_id', '=', user_id)
      .where('hash', '=', hash),
);
const findFormer = statement<{ token_hash: string }>('sessions.findFormer')((db, { token_hash }) =>
  db.selectFrom('sessions').select(['id', 'user_id']).where('token_hash', '=', token_hash),
);
const moveIdleEnd = statement<{ id: string; last_seen_at: number; expires_at: number }>(
  'sessions.moveIdleEnd',
)((db, input) =>
  db
    .updateTable('sessions')
    .set(({ eb, ref }) => ({
      last_seen_at: input.last_seen_at,
      expires_at: eb
        .case()
        .when('absolute_expires_at', '<', input.expires_at)
        .then(ref('absolute_expires_at'))
        .else(input.expires_at)
        .end(),
    }))
    .where('id', '=', input.id)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', input.last_seen_at),
);
const listLive = statement<{ user_id: string; now: number }>('sessions.listLive')((db, { user_id, now }) =>
  db
    .selectFrom('sessions')
    .selectAll()
    .where('user_id', '=', user_id)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', now)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc'),
);

/**
 * Ends what a session that has just ended had opened, but for what was to run on, and notes both. Families are named: after a
 * later sign-in in the same browser they may belong to another session.
 */
async function endOnline(
  db: Transaction,
  session: { id: string; user_id: string; now: number },
  reason: string,
): Promise<void> {
  const { id, user_id, now } = session;
  const gone = await db.all(revokeOnlineFamiliesOfSession, { session_id: id, now, reason });
  const detail = { families: gone.map((family) => family.id) };
  await noteRevocation(db, { kind: 'session_ended', at: now, user_id, subject: id, detail });
}

/**
 * Ends the browser's former session; what it opened passes to the new one, unless that is somebody else's. Where it passes on
 * nothing is noted: a sign-in is no revocation, and happens too often to queue.
 */
async function replace(db: Transaction, token_hash: string, next: SessionRecord): Promise<void> {
  const former = await db.first(findFormer, { token_hash });
  if (!former) return;
  const { id, user_id } = former;
  const now = next.created_at;
  await db.run(endSession, { id, user_id, now });
  if (user_id === next.user_id) await db.run(moveFamilies, { session_id: id, next_session_id: next.id });
  else await endOnline(db, { id, user_id, now }, 'session_replaced');
}

export const sessions: Verbs<SessionStore> = {
  start: write(async (db, { session, password_hash, replaces }) => {
    const { user_id } = session;
    if ((await db.run(holdUser, { user_id })) === 0) return { outcome: 'refused' };
    if (password_hash !== null && (await db.run(holdPassword, { user_id, hash: password_hash })) === 0)
      return { outcome: 'refused' };
    await db.run(insertSession, session);
    if (replaces !== null) await replace(db, replaces, session);
    return { outcome: 'started' };
  }),
  find: read(async (db, input) => db.first(findLive, input)),
  touch: write(async (db, input) => {
    await db.run(moveIdleEnd, input);
  }),
  listOfUser: read(async (db, input) => db.all(listLive, input)),
  end: write(async (db, input) => {
    if ((await db.run(endSession, input)) === 0) return { outcome: 'unknown' };
    await endOnline(db, input, 'session_ended');
    return { outcome: 'ended' };
  }),
  endAll: write(async (db, { user_id, except, now }) => {
    const kept = except ?? '';
    const ended = await db.run(endSessionsOfUser, { user_id, except: kept, now });
    const revoked = await db.run(revokeFamiliesOfUser, {
      user_id,
      except_session: kept,
      now,
      reason: 'sessions_ended',
    });
    if (ended + revoked > 0)
      await noteRevocation(db, { kind: 'sessions_ended', at: now, user_id, detail: { except: kept } });
    return { ended };
  }),
};
