import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSite, PASSWORD, type Site } from '../../test/browser/site.ts';
import { describeEngines } from '../../test/setup/engines.ts';
import type { User } from './user.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describeEngines('sessions', (engine) => {
  let site: Site;
  let ada: User;
  beforeAll(async () => {
    site = await openSite(engine);
    ada = await site.users.create({ username: 'ada', password: PASSWORD });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const start = async (replaces: string | null = null) => {
    const started = await site.sessions.start({
      user_id: ada.id,
      password_hash: null,
      acr: 'a',
      amr: ['pwd'],
      ip: '192.0.2.1',
      user_agent: 'x'.repeat(2000),
      replaces,
    });
    if (!started) throw new Error('refused');
    return started;
  };

  test('are found by their token, which is not stored', async () => {
    const { session, token } = await start();
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await site.sessions.find(token)).toEqual({ ...session, username: 'ada' });
    expect(session.user_agent).toHaveLength(512);
    const [row] = await site.store.sessions.listOfUser({ user_id: ada.id, now: site.clock.now() });
    expect(JSON.stringify(row)).not.toContain(token);
    expect(await site.sessions.find(undefined)).toBeUndefined();
    expect(await site.sessions.find(`${token}x`)).toBeUndefined();
  });

  test('live on while they are used, are written once a minute, and end for good after a day', async () => {
    const { session, token } = await start();
    site.clock.advance(30_000);
    expect((await site.sessions.find(token))?.last_seen_at).toBe(session.last_seen_at);
    for (let hour = 0; hour < 23; hour++) {
      site.clock.advance(59 * MINUTE);
      expect((await site.sessions.find(token))?.last_seen_at).toBeGreaterThan(session.last_seen_at);
    }
    site.clock.advance(50 * MINUTE);
    const last = await site.sessions.find(token);
    expect(last?.expires_at).toBe(session.absolute_expires_at);
    site.clock.advance(50 * MINUTE);
    expect(await site.sessions.find(token)).toBeUndefined();
  });

  test('end when nobody uses them', async () => {
    const { token } = await start();
    site.clock.advance(HOUR + 1);
    expect(await site.sessions.find(token)).toBeUndefined();
  });

  test('replace the former one of the same browser', async () => {
    const former = await start();
    const next = await start(former.token);
    expect(await site.sessions.find(former.token)).toBeUndefined();
    expect(await site.sessions.find(next.token)).toBeDefined();
  });

  test('are ended one by one or all but one, only by their own user', async () => {
    await site.sessions.endAll(ada.id);
    const [one, two, three] = [await start(), await start(), await start()];
    expect(await site.sessions.end(one.session.id, 'usr_other')).toBe(false);
    expect(await site.sessions.end(one.session.id, ada.id)).toBe(true);
    expect(await site.sessions.end(one.session.id, ada.id)).toBe(false);
    expect((await site.sessions.list(ada.id)).map(({ id }) => id).toSorted()).toEqual(
      [two.session.id, three.session.id].toSorted(),
    );
    expect(await site.sessions.endAll(ada.id, three.session.id)).toBe(1);
    expect(await site.sessions.find(two.token)).toBeUndefined();
    expect(await site.sessions.find(three.token)).toBeDefined();
  });

  test('end with a disabled user and with an old password', async () => {
    const before = await start();
    await site.users.setStatus(ada.id, 'disabled');
    await site.users.setStatus(ada.id, 'active');
    expect(await site.sessions.find(before.token)).toBeUndefined();
    const after = await start();
    await site.users.setPassword(ada.id, 'another good password');
    expect(await site.sessions.find(after.token)).toBeUndefined();
  });
});
