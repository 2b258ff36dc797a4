import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lockout } from '../../src/identity/lockout.ts';
import { describeEngines } from '../setup/engines.ts';
import { type AdminFixture, startAdmin } from './fixture.ts';

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describeEngines('over TCP the admin API wants its key', (engine) => {
  let admin: AdminFixture;
  let key: string;
  beforeAll(async () => {
    admin = await startAdmin(engine);
    key = (await admin.apiKey.makeFirst())!;
  });
  afterAll(() => admin.close());

  const routes = [
    ['GET', '/admin/status'],
    ['GET', '/admin/users'],
    ['POST', '/admin/users'],
    ['GET', '/admin/users/x'],
    ['PATCH', '/admin/users/x'],
    ['DELETE', '/admin/users/x'],
    ['POST', '/admin/users/x/disable'],
    ['POST', '/admin/users/x/enable'],
    ['POST', '/admin/users/x/password'],
    ['POST', '/admin/users/x/sessions/end'],
    ['GET', '/admin/clients'],
    ['POST', '/admin/clients'],
    ['GET', '/admin/clients/x'],
    ['PATCH', '/admin/clients/x'],
    ['DELETE', '/admin/clients/x'],
    ['POST', '/admin/clients/x/secrets'],
    ['POST', '/admin/clients/x/disable'],
    ['POST', '/admin/clients/x/enable'],
    ['GET', '/admin/resources'],
    ['POST', '/admin/resources'],
    ['GET', '/admin/resources/x'],
    ['PATCH', '/admin/resources/x'],
    ['DELETE', '/admin/resources/x'],
    ['GET', '/admin/keys'],
    ['POST', '/admin/keys/rotate'],
    ['POST', '/admin/initial-access-tokens'],
    ['POST', '/admin/api-key/rotate'],
    ['GET', '/admin/audit'],
  ] as const;

  test.each(routes)('%s %s answers 401 without it', async (method, path) => {
    const { status, headers, body } = await admin.callOverTcp(method, path);
    expect(status).toBe(401);
    expect(headers['www-authenticate']).toBe('Bearer realm="admin"');
    expect(body).toMatchObject({ status: 401, code: 'unauthenticated' });
  });

  test('the first key is made once, opens the door, and its holder is named in the audit trail', async () => {
    expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await admin.apiKey.makeFirst()).toBeUndefined();
    const made = await admin.callOverTcp('POST', '/admin/users', { username: 'remote' }, bearer(key));
    expect(made.status).toBe(201);
    expect((await admin.events()).at(-1)).toMatchObject({ action: 'user.created', actor: 'admin:api' });
    const lower = await admin.callOverTcp('GET', '/admin/status', undefined, {
      authorization: `bearer ${key}`,
    });
    expect(lower.status).toBe(200);
  });

  test('the stored hash is not a key', async () => {
    const stored = await admin.store.settings.get({ name: 'admin.api_key_sha256' });
    expect((await admin.callOverTcp('GET', '/admin/status', undefined, bearer(stored!.value))).status).toBe(
      401,
    );
  });

  test('rotation voids the former key at once', async () => {
    const { body } = await admin.call('POST', '/admin/api-key/rotate');
    expect((await admin.callOverTcp('GET', '/admin/status', undefined, bearer(key))).status).toBe(401);
    key = body.api_key;
    expect((await admin.callOverTcp('GET', '/admin/status', undefined, bearer(key))).status).toBe(200);
  });

  test('nobody locks it by guessing passwords on the sign-in page, whatever the user name', async () => {
    const options = { limit: 5, window: 600_000, lockout: 900_000 };
    const signInPage = new Lockout({ store: admin.store.loginFailures, clock: admin.clock, options });
    for (const name of ['admin api', 'admin', 'admin:api', 'api'])
      for (let i = 0; i < options.limit; i++) await signInPage.count(name, '127.0.0.1');
    expect(await signInPage.lockedFor('admin api', '127.0.0.1')).toBeGreaterThan(0);
    expect((await admin.callOverTcp('GET', '/admin/status', undefined, bearer(key))).status).toBe(200);
    admin.clock.time += 16 * 60_000;
  });

  test('after too many wrong keys even the right one waits, but not on the machine itself', async () => {
    for (let i = 0; i < 5; i++)
      await admin.callOverTcp('GET', '/admin/status', undefined, bearer(`wrong-${i}`));
    const locked = await admin.callOverTcp('GET', '/admin/status', undefined, bearer(key));
    expect(locked.status).toBe(429);
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(0);
    expect((await admin.call('GET', '/admin/status')).status).toBe(200);
    admin.clock.time += 16 * 60_000;
    expect((await admin.callOverTcp('GET', '/admin/status', undefined, bearer(key))).status).toBe(200);
  });
});

describeEngines('a configured API key', (engine) => {
  let admin: AdminFixture;
  beforeAll(async () => {
    admin = await startAdmin(engine, { configuredKey: 'configured-key-0123456789' });
  });
  afterAll(() => admin.close());

  test('is the only one, and is changed in the configuration only', async () => {
    expect(await admin.apiKey.makeFirst()).toBeUndefined();
    const call = (key: string) => admin.callOverTcp('GET', '/admin/status', undefined, bearer(key));
    expect((await call('configured-key-0123456789')).status).toBe(200);
    for (const wrong of ['c', 'configured-key-012345678', 'configured-key-9876543210', 'x'.repeat(4096)])
      expect((await call(wrong)).status).toBe(401);
    const rotation = await admin.call('POST', '/admin/api-key/rotate');
    expect(rotation.status).toBe(409);
    expect(rotation.body).toMatchObject({ code: 'refused', hint: expect.stringContaining('admin.api_key') });
  });
});
