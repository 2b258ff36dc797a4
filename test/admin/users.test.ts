import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEngines } from '../setup/engines.ts';
import { type AdminFixture, startAdmin } from './fixture.ts';

describeEngines('the admin API keeps users', (engine) => {
  let admin: AdminFixture;
  beforeAll(async () => {
    admin = await startAdmin(engine);
  });
  afterAll(() => admin.close());

  const signsIn = async (login: string, password: string) => {
    const found = await admin.users.findByLogin(login);
    return admin.hasher.verify(found?.passwordHash ?? null, password);
  };
  const startSession = async (userId: string) => {
    const started = await admin.sessions.start({
      user_id: userId,
      acr: '1',
      amr: ['pwd'],
      ip: '127.0.0.1',
      user_agent: 'test',
      password_hash: null,
      replaces: null,
    });
    return started!.session;
  };

  test('creates one with a password, and never shows it', async () => {
    const { status, body } = await admin.call('POST', '/admin/users', {
      username: 'Ada',
      email: 'ada@example.com',
      email_verified: true,
      password: 'correct horse',
      profile: { name: 'Ada L.', locale: 'en' },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      created: true,
      username: 'ada',
      email: 'ada@example.com',
      email_verified: true,
      status: 'active',
      profile: { name: 'Ada L.', locale: 'en' },
    });
    expect(JSON.stringify(body)).not.toContain('argon2');
    expect(await signsIn('ada', 'correct horse')).toBe(true);
    for (const key of [body.id, 'ada', 'ADA']) {
      expect((await admin.call('GET', `/admin/users/${key}`)).body.id).toBe(body.id);
    }
  });

  test('without a password nobody can sign in', async () => {
    await admin.call('POST', '/admin/users', { username: 'silent' });
    expect(await signsIn('silent', '')).toBe(false);
  });

  test('a name that is taken is a conflict, unless the one that is there will do', async () => {
    const body = { username: 'twice', email: 'twice@example.com', password: 'first password' };
    const made = await admin.call('POST', '/admin/users', body);
    expect((await admin.call('POST', '/admin/users', body)).status).toBe(409);
    const kept = await admin.call('POST', '/admin/users', {
      ...body,
      password: 'other password',
      if_absent: true,
    });
    expect(kept.status).toBe(200);
    expect(kept.body).toMatchObject({ created: false, id: made.body.id });
    expect(await signsIn('twice', 'first password')).toBe(true);

    // The address of somebody else is not "this user exists already".
    const thief = { username: 'thief', email: 'twice@example.com', if_absent: true };
    expect((await admin.call('POST', '/admin/users', thief)).status).toBe(409);
    const named = { username: 'twice@example.com', if_absent: true };
    expect((await admin.call('POST', '/admin/users', named)).body.id).not.toBe(made.body.id);
  });

  test('20 at once with if_absent make one user', async () => {
    const body = { username: 'raced', if_absent: true };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => admin.call('POST', '/admin/users', body)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201]);
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
  });

  test.each([
    ['no user name', {}, 'username is required'],
    ['several faults', { user_name: 'x', email: 5 }, 'user_name is not known (did you mean username?)'],
    ['a short password', { username: 'short', password: 'x' }, 'password'],
    ['white space', { username: 'a b' }, 'white space'],
    ['an address that is none', { username: 'c', email: 'nowhere' }, 'e-mail'],
    ['an unknown claim', { username: 'd', profile: { shoe_size: '43' } }, 'shoe_size'],
  ])('%s: refused', async (_, body, sentence) => {
    const { status, body: problem } = await admin.call('POST', '/admin/users', body);
    expect(status).toBe(400);
    expect(problem.detail).toContain(sentence);
  });

  test('changes what is given and nothing else', async () => {
    const { body: user } = await admin.call('POST', '/admin/users', {
      username: 'changing',
      email: 'old@example.com',
      email_verified: true,
      profile: { name: 'Old', locale: 'en' },
    });
    const profile = await admin.call('PATCH', '/admin/users/changing', {
      profile: { name: 'New', locale: null },
    });
    expect(profile.body).toMatchObject({
      email: 'old@example.com',
      email_verified: true,
      profile: { name: 'New' },
    });
    expect(profile.body.profile.locale).toBeUndefined();

    const email = await admin.call('PATCH', '/admin/users/changing', { email: 'new@example.com' });
    expect(email.body).toMatchObject({ id: user.id, email: 'new@example.com', email_verified: false });
    const gone = await admin.call('PATCH', '/admin/users/changing', { email: null });
    expect(gone.body).toMatchObject({ email: null, email_verified: false });
    expect((await admin.call('PATCH', '/admin/users/changing', { username: 'ada' })).status).toBe(409);
    expect((await admin.call('PATCH', '/admin/users/changing', { status: 'disabled' })).status).toBe(400);
  });

  test('a new password ends sessions; so does disabling; so does asking for it', async () => {
    const { body: user } = await admin.call('POST', '/admin/users', {
      username: 'ending',
      password: 'old password',
    });
    const live = async () => (await admin.sessions.list(user.id)).length;

    await startSession(user.id);
    const set = await admin.call('POST', '/admin/users/ending/password', { password: 'new password' });
    expect(set.status).toBe(200);
    expect(await live()).toBe(0);
    expect(await signsIn('ending', 'new password')).toBe(true);

    await startSession(user.id);
    await startSession(user.id);
    expect((await admin.call('POST', '/admin/users/ending/sessions/end')).body).toEqual({ ended: 2 });
    expect(await live()).toBe(0);

    await startSession(user.id);
    expect((await admin.call('POST', '/admin/users/ending/disable')).body.status).toBe('disabled');
    expect((await admin.call('POST', '/admin/users/ending/enable')).body.status).toBe('active');
    expect(await live()).toBe(0);

    expect((await admin.call('DELETE', '/admin/users/ending')).status).toBe(204);
    expect((await admin.call('GET', '/admin/users/ending')).status).toBe(404);
    const actions = (await admin.events())
      .filter(({ user_id }) => user_id === user.id)
      .map(({ action }) => action);
    expect(actions).toEqual([
      'user.created',
      'user.password_changed',
      'session.all_ended',
      'user.disabled',
      'user.enabled',
      'user.removed',
    ]);
  });

  test('lists everybody, page by page', async () => {
    const seen: string[] = [];
    let after = '';
    for (;;) {
      const { body } = await admin.call('GET', `/admin/users?limit=2&after=${after}`);
      seen.push(...body.items.map((user: { username: string }) => user.username));
      if (body.next === null) break;
      after = body.next;
    }
    expect(seen).toEqual(expect.arrayContaining(['ada', 'silent', 'twice', 'changing']));
    expect(new Set(seen).size).toBe(seen.length);
  });
});
