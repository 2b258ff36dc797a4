import type { AuthCodeRecord } from '../records.ts';
import type { CodeStore } from '../store.ts';
import { endFamily } from './families.ts';
import { insertFamily, insertIssuance, insertRefreshToken } from './inserts.ts';
import { deleteRequest } from './requests.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

const CODE = [
  'code_hash',
  'family_id',
  'client_id',
  'user_id',
  'session_id',
  'redirect_uri',
  'scope',
  'resources_json',
  'nonce',
  'code_challenge',
  'claims_json',
  'auth_time',
  'acr',
  'amr_json',
  'created_at',
  'expires_at',
  'redeemed_at',
] as const;

const insertCode = statement<AuthCodeRecord>('codes.insertCode')((db, code) =>
  db.insertInto('auth_codes').values(columns(code, CODE)),
);
const findCode = statement<{ code_hash: string }>('codes.findCode')((db, { code_hash }) =>
  db.selectFrom('auth_codes').selectAll().where('code_hash', '=', code_hash),
);
const spendCode = statement<{ code_hash: string; now: number }>('codes.spendCode')((db, { code_hash, now }) =>
  db
    .updateTable('auth_codes')
    .set({ redeemed_at: now })
    .where('code_hash', '=', code_hash)
    .where('redeemed_at', 'is', null)
    .where('expires_at', '>', now)
    .returning('session_id'),
);
/**
 * Is the session still open, its user and the client in force? Writing the row, not just reading it, makes a sign-out or a
 * changed password that runs at the same moment wait its turn and see the family that the code founds.
 */
const holdSession = statement<{ session_id: string; client_id: string; now: number }>('codes.holdSession')(
  (db, input) =>
    db
      .updateTable('sessions')
      .set({ last_seen_at: input.now })
      .where('id', '=', input.session_id)
      .where('ended_at', 'is', null)
      .where(({ exists, selectFrom, ref }) =>
        exists(
          selectFrom('users')
            .select('users.id')
            .where('users.id', '=', ref('sessions.user_id'))
            .where('status', '=', 'active'),
        ),
      )
      .where(({ exists, selectFrom }) =>
        exists(
          selectFrom('clients')
            .select('clients.id')
            .where('clients.id', '=', input.client_id)
            .where('status', '=', 'active'),
        ),
      ),
);

export const codes: Verbs<CodeStore> = {
  issue: write(async (db, { code, request_id }) => {
    if (request_id !== null && (await db.run(deleteRequest, { id: request_id })) === 0)
      return { outcome: 'gone' };
    await db.run(insertCode, code);
    return { outcome: 'issued' };
  }),
  find: read(async (db, input) => db.first(findCode, input)),
  redeem: write(async (db, { code_hash, now, family, tokens }) => {
    const spent = await db.first(spendCode, { code_hash, now });
    if (!spent) {
      const code = await db.first(findCode, { code_hash });
      if (!code) return { outcome: 'unknown' };
      if (code.redeemed_at === null) return { outcome: 'expired' };
      await endFamily(db, { id: code.family_id, now, reason: 'code_replayed' });
      return { outcome: 'replayed' };
    }
    const held = await db.run(holdSession, {
      session_id: spent.session_id,
      client_id: family.client_id,
      now,
    });
    if (held === 0) return { outcome: 'void' };
    await db.run(insertFamily, family);
    if (tokens.refresh) await db.run(insertRefreshToken, tokens.refresh);
    await db.run(insertIssuance, tokens.issuance);
    return { outcome: 'redeemed' };
  }),
};
