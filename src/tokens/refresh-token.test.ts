import { describe, expect, test } from 'vitest';
import { systemRandom } from '../kernel/random.ts';
import { isRefreshToken, newRefreshToken, refreshTokenRecord, successorOf } from './refresh-token.ts';

describe('refresh tokens', () => {
  test('a successor is the same for the same token and salt, and for nothing else', () => {
    const token = newRefreshToken(systemRandom);
    expect(successorOf(token, 'salt')).toBe(successorOf(token, 'salt'));
    expect(successorOf(token, 'salt')).not.toBe(successorOf(token, 'other'));
    expect(successorOf(token, 'salt')).not.toBe(successorOf(newRefreshToken(systemRandom), 'salt'));
    expect(successorOf(token, 'salt')).not.toBe(token);
  });

  test('new ones and successors have the shape that tells them from access tokens', () => {
    const token = newRefreshToken(systemRandom);
    expect(isRefreshToken(token)).toBe(true);
    expect(isRefreshToken(successorOf(token, 'salt'))).toBe(true);
    for (const text of ['', 'rt_', `${token}x`, token.slice(3), 'eyJ.a.b'])
      expect(isRefreshToken(text)).toBe(false);
  });

  test('a row holds nothing by which the token could be used', () => {
    const token = newRefreshToken(systemRandom);
    const row = JSON.stringify(refreshTokenRecord(token, 'fam_1', 1000, 500));
    expect(row).not.toContain(token);
    expect(row).not.toContain(token.slice(3));
    expect(JSON.parse(row)).toMatchObject({ expires_at: 1500, spent_at: null });
  });
});
