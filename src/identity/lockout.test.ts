import { afterAll, beforeAll, expect, test } from 'vitest';
import { LOCKOUT, openSite, type Site } from '../../test/browser/site.ts';
import { describeEngines } from '../../test/setup/engines.ts';
import { Lockout } from './lockout.ts';

const MINUTE = 60_000;

describeEngines('a lockout', (engine) => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite(engine);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const lockoutOf = () =>
    new Lockout({ store: site.store.loginFailures, clock: site.clock, options: LOCKOUT });
  const fail = async (times: number, account: string, source: string) => {
    let last = 0;
    for (let i = 0; i < times; i++) last = await lockoutOf().count(account, source);
    return last;
  };

  test('falls at the tenth failure, for that account from that source, on every instance', async () => {
    expect(await fail(9, 'ada', '192.0.2.1')).toBe(0);
    expect(await lockoutOf().lockedFor('ada', '192.0.2.1')).toBe(0);
    expect(await fail(1, 'ada', '192.0.2.1')).toBe(900);
    expect(await lockoutOf().lockedFor('ada', '192.0.2.1')).toBeGreaterThan(890);
    expect(await lockoutOf().lockedFor('ada', '192.0.2.2')).toBe(0);
    expect(await lockoutOf().lockedFor('grace', '192.0.2.1')).toBe(0);
    site.clock.advance(15 * MINUTE + 1);
    expect(await lockoutOf().lockedFor('ada', '192.0.2.1')).toBe(0);
  });

  test('counts only what lies within ten minutes', async () => {
    await fail(9, 'bob', '192.0.2.3');
    site.clock.advance(10 * MINUTE + 1);
    expect(await fail(9, 'bob', '192.0.2.3')).toBe(0);
  });

  test('is averted by a success, which clears the account and not the source', async () => {
    const strict = new Lockout({
      store: site.store.loginFailures,
      clock: site.clock,
      options: { ...LOCKOUT, limit: 3 },
    });
    await strict.count('eve', '192.0.2.4');
    await strict.count('eve', '192.0.2.4');
    await strict.clear('eve', '192.0.2.4');
    expect(await strict.count('eve', '192.0.2.4')).toBe(0);
    for (let other = 4; other < 30; other++)
      expect(await strict.count(`nobody-${other}`, '192.0.2.4')).toBe(0);
    expect(await strict.count('mallory', '192.0.2.4')).toBeGreaterThan(0);
    expect(await strict.lockedFor('anybody', '192.0.2.4')).toBeGreaterThan(0);
  });
});
