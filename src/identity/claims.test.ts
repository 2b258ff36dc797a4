import { expect, test } from 'vitest';
import { claimsFor, profileFault } from './claims.ts';
import type { User } from './user.ts';

const ada: User = {
  id: 'usr_1',
  username: 'ada',
  email: 'ada@example.com',
  email_verified: true,
  status: 'active',
  profile: { name: 'Ada Lovelace', locale: 'en' },
  created_at: 1_000,
  updated_at: 61_999,
};

test('a scope gives its claims and no others', () => {
  expect(claimsFor(ada, ['openid'])).toEqual({ sub: 'usr_1' });
  expect(claimsFor(ada, ['openid', 'email'])).toEqual({
    sub: 'usr_1',
    email: 'ada@example.com',
    email_verified: true,
  });
  expect(claimsFor(ada, ['profile'])).toEqual({
    sub: 'usr_1',
    name: 'Ada Lovelace',
    locale: 'en',
    preferred_username: 'ada',
    updated_at: 61,
  });
});

test('single claims are given by name, unknown ones are not invented', () => {
  expect(claimsFor(ada, ['openid'], ['name', 'phone_number', 'password_hash'])).toEqual({
    sub: 'usr_1',
    name: 'Ada Lovelace',
  });
});

test('claims without a value are left out', () => {
  expect(claimsFor({ ...ada, email: null }, ['email'])).toEqual({ sub: 'usr_1' });
});

test('a profile cannot say who somebody is', () => {
  const forged = { ...ada, profile: { sub: 'usr_2', email: 'root@example.com' } };
  expect(claimsFor(forged, ['email', 'profile'])).toMatchObject({ sub: 'usr_1', email: 'ada@example.com' });
  expect(profileFault({ sub: 'usr_2' })).toContain('"sub"');
  expect(profileFault({ constructor: 'x' })).toContain('"constructor"');
  expect(profileFault({ name: 7 })).toBe('has a "name" that is not text');
  expect(profileFault({ name: 'Ada' })).toBeUndefined();
});
