import { hmac, sha256 } from '../kernel/bytes.ts';
import { type Random, randomToken } from '../kernel/random.ts';
import type { RefreshTokenRecord } from '../store/records.ts';

/** Says what the string is when it turns up in a log or a leak scanner. */
const PREFIX = 'rt_';
const SHAPE = /^rt_[A-Za-z0-9_-]{43}$/;

/** A refresh token: opaque, 256 bits. */
export function newRefreshToken(random: Random): string {
  return PREFIX + randomToken(random);
}

export function isRefreshToken(text: string): boolean {
  return SHAPE.test(text);
}

/**
 * The token that follows `token`. Who holds the spent token and the salt, which only the database keeps, gets the same
 * successor again: that is what makes a retry after a lost answer idempotent without keeping any token readable.
 */
export function successorOf(token: string, salt: string): string {
  return PREFIX + hmac(token, `refresh token successor\n${salt}`);
}

/** A live token's row. */
export function refreshTokenRecord(
  token: string,
  familyId: string,
  now: number,
  lifetime: number,
): RefreshTokenRecord {
  return {
    token_hash: sha256(token),
    family_id: familyId,
    created_at: now,
    expires_at: now + lifetime,
    spent_at: null,
    successor_salt: null,
    successor_hash: null,
  };
}
