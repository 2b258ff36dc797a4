import type { SessionRecord } from '../records.ts';
import type { SessionStore } from '../store.ts';
import {
  endSession,
  endSessionsOfUser,
  revokeFamiliesOfUser,
  revokeOnlineFamiliesOfSession,
} from './endings.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

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

const insertSession = statement<SessionRecord>()((db, session) =>
  db.insertInto('sessions').values(columns(session, SESSION)),
);
const findLive = statement<{ token_hash: string; now: number }>()((db, { token_hash, now }) =>
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
const findOwner = statement<{ id: string }>()((db, { id }) =>
  db.selectFrom('sessions').select('user_id').where('id', '=', id),
);
const moveIdleEnd = statement<{ id: string; last_seen_at: number; expires_at: number }>()((db, input) =>
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
const listLive = statement<{ user_id: string; now: number }>()((db, { user_id, now }) =>
  db
    .selectFrom('sessions')
    .selectAll()
    .where('user_id', '=', user_id)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', now)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc'),
);

export const sessions: Verbs<SessionStore> = {
  start: write(async (db, { session, replaces }) => {
    if (replaces !== null) {
      const former = await db.first(findOwner, { id: replaces });
      if (former)
        await db.run(endSession, { id: replaces, user_id: former.user_id, now: session.created_at });
    }
    await db.run(insertSession, session);
  }),
  find: read(async (db, input) => db.first(findLive, input)),
  touch: write(async (db, input) => {
    await db.run(moveIdleEnd, input);
  }),
  listOfUser: read(async (db, input) => db.all(listLive, input)),
  end: write(async (db, input) => {
    if ((await db.run(endSession, input)) === 0) return { outcome: 'unknown' };
    await db.run(revokeOnlineFamiliesOfSession, {
      session_id: input.id,
      now: input.now,
      reason: 'session_ended',
    });
    return { outcome: 'ended' };
  }),
  endAll: write(async (db, { user_id, except, now }) => {
    const kept = except ?? '';
    const ended = await db.run(endSessionsOfUser, { user_id, except: kept, now });
    await db.run(revokeFamiliesOfUser, { user_id, except_session: kept, now, reason: 'sessions_ended' });
    return { ended };
  }),
};
