import type { LoginFailureRecord } from '../records.ts';
import type { LoginFailureStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { sweepFailures } from './sweep.ts';
import { read, type Verbs, write } from './verb.ts';

/** Counts on within the window, or begins a new one. */
const countFailure = statement<LoginFailureRecord & { now: number }>('login-failures.countFailure')(
  (db, failure, sql) =>
    db
      .insertInto('login_failures')
      .values(columns(failure, ['id', 'failures', 'window_ends_at', 'locked_until', 'expires_at']))
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet({
          failures: sql<number>`case when login_failures.window_ends_at <= ${failure.now} then 1 else login_failures.failures + 1 end`,
          window_ends_at: sql<number>`case when login_failures.window_ends_at <= ${failure.now} then excluded.window_ends_at else login_failures.window_ends_at end`,
          expires_at: sql<number>`excluded.expires_at`,
        }),
      )
      .returning('failures'),
);
const lock = statement<{ id: string; locked_until: number; now: number }>('login-failures.lock')(
  (db, { id, locked_until, now }) =>
    db.updateTable('login_failures').set({ locked_until, window_ends_at: now }).where('id', '=', id),
);
const findLock = statement<{ id: string; now: number }>('login-failures.findLock')((db, { id, now }) =>
  db.selectFrom('login_failures').select('locked_until').where('id', '=', id).where('locked_until', '>', now),
);
const clear = statement<{ id: string }>('login-failures.clear')((db, { id }) =>
  db.deleteFrom('login_failures').where('id', '=', id),
);

export const loginFailures: Verbs<LoginFailureStore> = {
  count: write(async (db, { ids, now, window, lockout }) => {
    let lockedUntil: number | null = null;
    for (const { id, limit } of ids) {
      const counted = await db.first(countFailure, {
        id,
        failures: 1,
        window_ends_at: now + window,
        locked_until: null,
        expires_at: now + window + lockout,
        now,
      });
      if (!counted || counted.failures < limit) continue;
      lockedUntil = now + lockout;
      await db.run(lock, { id, locked_until: lockedUntil, now });
    }
    for (const { id } of ids) await db.run(sweepFailures, { after: id, now });
    return { locked_until: lockedUntil };
  }),
  lockedUntil: read(async (db, { ids, now }) => {
    let longest: number | null = null;
    for (const id of ids) {
      const found = await db.first(findLock, { id, now });
      if (found?.locked_until) longest = Math.max(longest ?? 0, found.locked_until);
    }
    return longest;
  }),
  clear: write(async (db, { ids }) => {
    for (const id of ids) await db.run(clear, { id });
  }),
};
