import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSite, PASSWORD, type Site } from '../../test/browser/site.ts';
import { describeEngines } from '../../test/setup/engines.ts';
import { normaliseLogin, usernameFault } from './user.ts';

describe('a user name', () => {
  test('is normalised to something that normalises to itself', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(text, (given) => {
        const once = normaliseLogin(given);
        expect(normaliseLogin(once)).toBe(once);
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    ['  Ada ', 'ada'],
    ['ＡＤＡ', 'ada'],
    ['Ａ\u030a', 'å'],
    ['ΑΣ', 'ας'],
    ['\u03a9\u0342', '\u1ff6'],
  ])('%j is %j', (given, stored) => expect(normaliseLogin(given)).toBe(stored));

  test.each(['', 'a b', 'a\u00a0b', 'a\u0000', 'a\u202eb', 'a\u200bb', 'x'.repeat(129)])(
    '%j is refused',
    (name) => {
      expect(usernameFault(name)).toMatch(/^must not /);
    },
  );

  test.each(['a', 'ada@example.com', 'żółw', 'x'.repeat(128)])('%j is taken', (name) => {
    expect(usernameFault(name)).toBeUndefined();
  });
});

describeEngines('users', (engine) => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite(engine);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test('are found by any spelling of their name, and by e-mail address', async () => {
    const profile = { name: 'Ada Lovelace' };
    const created = await site.users.create({
      username: ' ADA ',
      password: PASSWORD,
      email: 'Ada@Example.com',
      profile,
    });
    expect(created).toMatchObject({
      username: 'ada',
      email: 'ada@example.com',
      email_verified: false,
      profile,
    });
    expect(await site.users.find(created.id)).toEqual(created);
    for (const login of ['ada', 'Ada', 'ＡＤＡ', ' ada@EXAMPLE.com']) {
      expect((await site.users.findByLogin(login))?.user.id).toBe(created.id);
    }
    expect(await site.users.findByLogin('nobody')).toBeUndefined();
  });

  test('have a name and an address of their own', async () => {
    await site.users.create({ username: 'grace', password: null, email: 'grace@example.com' });
    const conflict = expect.objectContaining({ code: 'conflict' });
    await expect(site.users.create({ username: 'Grace', password: null })).rejects.toEqual(conflict);
    const sameAddress = { username: 'hopper', password: null, email: 'GRACE@example.com' };
    await expect(site.users.create(sameAddress)).rejects.toEqual(conflict);
  });

  test.each([
    ['a name of two words', { username: 'two words', password: null }],
    ['a short password', { username: 'x', password: 'short' }],
    ['a password of 1200 bytes', { username: 'x', password: 'ü'.repeat(600) }],
    ['an address without a host', { username: 'x', password: null, email: 'nowhere' }],
    ['a profile with made-up claims', { username: 'x', password: null, profile: { admin: 'yes' } }],
  ])('are not made with %s', async (_, input) => {
    await expect(site.users.create(input)).rejects.toMatchObject({ code: 'invalid_input' });
  });

  test('are named when they are not there', async () => {
    await expect(site.users.setPassword('usr_none', PASSWORD)).rejects.toMatchObject({ code: 'not_found' });
    await expect(site.users.setStatus('usr_none', 'disabled')).rejects.toMatchObject({ code: 'not_found' });
    await expect(site.users.remove('usr_none')).rejects.toMatchObject({ code: 'not_found' });
  });
});
