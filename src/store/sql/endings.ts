/** Statements by which sessions and token families end; several verbs use them inside their own units of work. */
import { statement } from './statement.ts';

export const endSessionsOfUser = statement<{ user_id: string; except: string; now: number }>(
  'endings.endSessionsOfUser',
)((db, input) =>
  db
    .updateTable('sessions')
    .set({ ended_at: input.now })
    .where('user_id', '=', input.user_id)
    .where('id', '<>', input.except)
    .where('ended_at', 'is', null),
);

export const endSession = statement<{ id: string; user_id: string; now: number }>('endings.endSession')(
  (db, { id, user_id, now }) =>
    db
      .updateTable('sessions')
      .set({ ended_at: now })
      .where('id', '=', id)
      .where('user_id', '=', user_id)
      .where('ended_at', 'is', null),
);

export const revokeFamily = statement<{ id: string; now: number; reason: string }>('endings.revokeFamily')(
  (db, { id, now, reason }) =>
    db
      .updateTable('token_families')
      .set({ revoked_at: now, revoked_reason: reason })
      .where('id', '=', id)
      .where('revoked_at', 'is', null),
);

export const revokeFamiliesOfUser = statement<{
  user_id: string;
  except_session: string;
  now: number;
  reason: string;
}>('endings.revokeFamiliesOfUser')((db, input) =>
  db
    .updateTable('token_families')
    .set({ revoked_at: input.now, revoked_reason: input.reason })
    .where('user_id', '=', input.user_id)
    .where('session_id', '<>', input.except_session)
    .where('revoked_at', 'is', null),
);

export const revokeFamiliesOfGrant = statement<{
  user_id: string;
  client_id: string;
  now: number;
  reason: string;
}>('endings.revokeFamiliesOfGrant')((db, input) =>
  db
    .updateTable('token_families')
    .set({ revoked_at: input.now, revoked_reason: input.reason })
    .where('user_id', '=', input.user_id)
    .where('client_id', '=', input.client_id)
    .where('revoked_at', 'is', null),
);

/**
 * Signing out ends what the session opened, but not what the user let run on (OpenID Connect Core 11, offline_access).
 * Not `like`: that takes `_` for any character, and on one engine `A` for `a`.
 */
export const revokeOnlineFamiliesOfSession = statement<{ session_id: string; now: number; reason: string }>(
  'endings.revokeOnlineFamiliesOfSession',
)((db, input, sql) =>
  db
    .updateTable('token_families')
    .set({ revoked_at: input.now, revoked_reason: input.reason })
    .where('session_id', '=', input.session_id)
    .where('revoked_at', 'is', null)
    .where(sql<boolean>`replace(' ' || scope || ' ', ' offline_access ', '') = ' ' || scope || ' '`)
    .returning('id'),
);

/** Whoever signs in again in the same browser goes on with what the former session opened. */
export const moveFamilies = statement<{ session_id: string; next_session_id: string }>(
  'endings.moveFamilies',
)((db, input) =>
  db
    .updateTable('token_families')
    .set({ session_id: input.next_session_id })
    .where('session_id', '=', input.session_id)
    .where('revoked_at', 'is', null),
);
