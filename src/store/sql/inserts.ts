/** How tokens are recorded; redeeming a code and rotating a refresh token both do it. */
import type { IssuanceRecord, RefreshTokenRecord, TokenFamilyRecord } from '../records.ts';
import { columns, statement } from './statement.ts';

export const insertFamily = statement<TokenFamilyRecord>('inserts.insertFamily')((db, family) =>
  db
    .insertInto('token_families')
    .values(
      columns(family, [
        'id',
        'client_id',
        'user_id',
        'session_id',
        'scope',
        'resources_json',
        'claims_json',
        'auth_time',
        'acr',
        'amr_json',
        'created_at',
        'expires_at',
        'revoked_at',
        'revoked_reason',
      ]),
    ),
);

export const insertRefreshToken = statement<RefreshTokenRecord>('inserts.insertRefreshToken')((db, token) =>
  db
    .insertInto('refresh_tokens')
    .values(
      columns(token, [
        'token_hash',
        'family_id',
        'created_at',
        'expires_at',
        'spent_at',
        'successor_salt',
        'successor_hash',
      ]),
    ),
);

export const insertIssuance = statement<IssuanceRecord>('inserts.insertIssuance')((db, issuance) =>
  db
    .insertInto('issuances')
    .values(
      columns(issuance, [
        'jti',
        'family_id',
        'user_id',
        'client_id',
        'kid',
        'issued_at',
        'expires_at',
        'revoked_at',
      ]),
    ),
);
