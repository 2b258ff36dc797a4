/** What the store promises about people: users and their sessions. */
import { describe, expect, it } from 'vitest';
import { HOUR, MINUTE, NOW, newId, sessionRow, userRow } from './rows.ts';
import { atOnce, tally, type World } from './world.ts';

export function describeIdentity(world: () => World): void {
  describe('users', () => describeUsers(world));
  describe('sessions', () => describeSessions(world));
}

function describeUsers(world: () => World): void {
  it('gives a user back as it was created, found by id, user name and e-mail address', async () => {
    const { store } = world();
    const user = userRow();
    expect(await store.users.create({ user, password_hash: 'hash' })).toEqual({ outcome: 'created' });
    expect(await store.users.find({ id: user.id })).toEqual(user);
    for (const login of [user.username, user.email as string]) {
      expect(await store.users.findByLogin({ login })).toEqual({ ...user, password_hash: 'hash' });
    }
    expect(await store.users.find({ id: newId('usr') })).toBeUndefined();
    expect(await store.users.findByLogin({ login: newId('nobody') })).toBeUndefined();
  });

  it('keeps a user without a password', async () => {
    const { store } = world();
    const user = userRow({ email: null });
    await store.users.create({ user, password_hash: null });
    expect(await store.users.findByLogin({ login: user.username })).toEqual({ ...user, password_hash: null });
  });

  it.each(['id', 'username', 'email'] as const)(
    'answers `taken` for a second user with the same %s',
    async (field) => {
      const { store } = world();
      const first = await world().user();
      const second = userRow({ [field]: first[field] });
      expect(await store.users.create({ user: second, password_hash: 'other' })).toEqual({
        outcome: 'taken',
      });
      expect(await store.users.find({ id: first.id })).toEqual(first);
      expect(await store.users.findByLogin({ login: first.username })).toMatchObject({
        password_hash: 'first hash',
      });
    },
  );

  it('creates one of 20 users who want the same name at once', async () => {
    const { store } = world();
    const username = newId('wanted');
    const answers = await atOnce(20, () =>
      store.users.create({ user: userRow({ username }), password_hash: null }),
    );
    expect(tally(answers)).toEqual({ created: 1, taken: 19 });
  });

  it('finds a user name before an e-mail address that reads the same', async () => {
    const { store } = world();
    const address = `${newId('shared')}@example.test`;
    await world().user({ email: address });
    const owner = await world().user({ username: address });
    expect(await store.users.findByLogin({ login: address })).toMatchObject({ id: owner.id });
  });

  it('lists in id order, a page at a time, nobody twice and nobody left out', async () => {
    const { store } = world();
    const prefix = newId('page');
    for (const n of [3, 1, 5, 2, 4]) await world().user({ id: `${prefix}_${n}` });
    const seen: string[] = [];
    for (let after = prefix; ; ) {
      const page = await store.users.list({ after, limit: 2 });
      const mine = page.filter((user) => user.id.startsWith(prefix)).map((user) => user.id);
      seen.push(...mine);
      if (mine.length < 2) break;
      after = mine.at(-1) as string;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5].map((n) => `${prefix}_${n}`));
  });

  it('updates everything but status, id and birth; `taken` and `unknown` change nothing', async () => {
    const { store } = world();
    const [user, other] = [await world().user(), await world().user()];
    const changed = {
      ...user,
      username: newId('renamed'),
      email: null,
      profile_json: '{}',
      updated_at: NOW + 1,
    };
    const update = { ...changed, status: 'disabled' as const, created_at: 0 };
    expect(await store.users.update({ user: update })).toEqual({ outcome: 'updated' });
    expect(await store.users.find({ id: user.id })).toEqual(changed);
    expect(await store.users.update({ user: { ...changed, username: other.username } })).toEqual({
      outcome: 'taken',
    });
    expect(await store.users.update({ user: { ...changed, email: other.email } })).toEqual({
      outcome: 'taken',
    });
    expect(await store.users.find({ id: user.id })).toEqual(changed);
    expect(await store.users.update({ user: userRow() })).toEqual({ outcome: 'unknown' });
  });

  it('lets one of 20 users who change to the same name at once have it', async () => {
    const { store } = world();
    const username = newId('wanted');
    const users = await atOnce(20, () => world().user());
    const answers = await Promise.all(
      users.map((user) => store.users.update({ user: { ...user, username } })),
    );
    expect(tally(answers)).toEqual({ updated: 1, taken: 19 });
  });

  it('ends every session and every token family with a new password', async () => {
    const { store } = world();
    const granted = await world().granted('openid offline_access');
    const bystander = await world().granted();
    const password = { user_id: granted.user.id, hash: 'second hash', changed_at: NOW + 5 };
    expect(await store.users.setPassword(password)).toEqual({ outcome: 'set' });
    expect(await store.users.findByLogin({ login: granted.user.username })).toMatchObject({
      password_hash: 'second hash',
    });
    expect(
      await store.sessions.find({ token_hash: granted.session.token_hash, now: NOW + 5 }),
    ).toBeUndefined();
    expect(await store.families.find({ id: granted.family.id })).toMatchObject({
      revoked_at: NOW + 5,
      revoked_reason: 'password_changed',
    });
    expect(await world().isLive(granted.issuance)).toBe(false);
    expect(await world().isLive(bystander.issuance)).toBe(true);
  });

  it('gives a first password to a user without one, and none to nobody', async () => {
    const { store } = world();
    const user = userRow();
    await store.users.create({ user, password_hash: null });
    const password = { user_id: user.id, hash: 'first', changed_at: NOW };
    expect(await store.users.setPassword(password)).toEqual({ outcome: 'set' });
    expect(await store.users.findByLogin({ login: user.username })).toMatchObject({ password_hash: 'first' });
    expect(await store.users.setPassword({ ...password, user_id: newId('usr') })).toEqual({
      outcome: 'unknown',
    });
  });

  it('rehashes only the hash it was computed from, and ends nothing', async () => {
    const { store } = world();
    const { user, session } = await world().granted();
    await store.users.rehashPassword({ user_id: user.id, old_hash: 'not it', new_hash: 'stronger' });
    expect(await store.users.findByLogin({ login: user.username })).toMatchObject({
      password_hash: 'first hash',
    });
    await store.users.rehashPassword({ user_id: user.id, old_hash: 'first hash', new_hash: 'stronger' });
    expect(await store.users.findByLogin({ login: user.username })).toMatchObject({
      password_hash: 'stronger',
    });
    expect(await store.sessions.find({ token_hash: session.token_hash, now: NOW })).toBeDefined();
    expect(await world().hasLiveFamily(user)).toBe(true);
  });

  it('ends sessions and families with disabling; enabling brings none of them back', async () => {
    const { store } = world();
    const { user, session, family, issuance } = await world().granted('openid offline_access');
    const disable = { id: user.id, status: 'disabled' as const, now: NOW + 7 };
    expect(await store.users.setStatus(disable)).toEqual({ outcome: 'set' });
    expect(await store.users.find({ id: user.id })).toMatchObject({
      status: 'disabled',
      updated_at: NOW + 7,
    });
    expect(await store.users.setStatus({ ...disable, status: 'active' })).toEqual({ outcome: 'set' });
    expect(await store.sessions.find({ token_hash: session.token_hash, now: NOW })).toBeUndefined();
    expect(await store.families.find({ id: family.id })).toMatchObject({
      revoked_at: NOW + 7,
      revoked_reason: 'user_disabled',
    });
    expect(await world().isLive(issuance)).toBe(false);
    expect(await store.users.setStatus({ ...disable, id: newId('usr') })).toEqual({ outcome: 'unknown' });
  });

  it('removes a user with all that hangs on them', async () => {
    const { store } = world();
    const granted = await world().granted();
    const code = await world().code(granted);
    expect(await store.users.remove({ id: granted.user.id, now: NOW })).toEqual({ outcome: 'removed' });
    expect(await store.users.remove({ id: granted.user.id, now: NOW })).toEqual({ outcome: 'unknown' });
    expect(await store.users.findByLogin({ login: granted.user.username })).toBeUndefined();
    expect(await store.sessions.find({ token_hash: granted.session.token_hash, now: NOW })).toBeUndefined();
    expect(await store.codes.find({ code_hash: code.code_hash })).toBeUndefined();
    expect(await store.families.find({ id: granted.family.id })).toBeUndefined();
    expect(await store.refresh.find({ token_hash: granted.token.token_hash })).toBeUndefined();
    expect(await world().isLive(granted.issuance)).toBe(false);
  });

  it('answers a login with a character that cannot be stored without a fault of ours', async () => {
    const { store } = world();
    const answer = await store.users.findByLogin({ login: 'a\0b' }).catch((error: unknown) => error);
    if (answer !== undefined) expect(answer).toMatchObject({ code: 'invalid_input' });
  });
}

function describeSessions(world: () => World): void {
  it('finds a live session with the name of its user', async () => {
    const { store } = world();
    const user = await world().user();
    const session = await world().session(user);
    const found = await store.sessions.find({ token_hash: session.token_hash, now: NOW });
    expect(found).toEqual({ ...session, username: user.username });
    expect(await store.sessions.find({ token_hash: newId('none'), now: NOW })).toBeUndefined();
  });

  it('is live one millisecond before its end and over at its end', async () => {
    const { store } = world();
    const user = await world().user();
    const { token_hash } = await world().session(user, { expires_at: NOW + 10 });
    expect(await store.sessions.find({ token_hash, now: NOW + 9 })).toBeDefined();
    expect(await store.sessions.listOfUser({ user_id: user.id, now: NOW + 9 })).toHaveLength(1);
    expect(await store.sessions.find({ token_hash, now: NOW + 10 })).toBeUndefined();
    expect(await store.sessions.listOfUser({ user_id: user.id, now: NOW + 10 })).toEqual([]);
  });

  it('is refused to a user who is disabled or has another password than the one that was checked', async () => {
    const { store } = world();
    const user = await world().user();
    const start = async (id: string, password_hash: string | null) => {
      const session = sessionRow(id);
      const { outcome } = await store.sessions.start({ session, password_hash, replaces: null });
      const found = await store.sessions.find({ token_hash: session.token_hash, now: NOW });
      expect(found !== undefined).toBe(outcome === 'started');
      return outcome;
    };
    expect(await start(user.id, 'first hash')).toBe('started');
    expect(await start(user.id, null)).toBe('started');
    expect(await start(user.id, 'another hash')).toBe('refused');
    expect(await start(newId('usr'), null)).toBe('refused');
    const disabled = await world().user({ status: 'disabled' });
    for (const hash of ['first hash', null]) expect(await start(disabled.id, hash)).toBe('refused');
    await store.users.rehashPassword({ user_id: user.id, old_hash: 'first hash', new_hash: 'stronger' });
    expect(await start(user.id, 'first hash')).toBe('refused');
    expect(await start(user.id, 'stronger')).toBe('started');
  });

  it('leaves the former session alone when it is refused', async () => {
    const { store } = world();
    const { user, session, family } = await world().granted();
    const next = { session: sessionRow(user.id), replaces: session.token_hash };
    await store.sessions.start({ ...next, password_hash: 'not it' });
    expect(await store.sessions.find({ token_hash: session.token_hash, now: NOW })).toBeDefined();
    expect(await store.families.find({ id: family.id })).toEqual(family);
  });

  it('ends the session it replaces', async () => {
    const { store } = world();
    const user = await world().user();
    const former = await world().session(user);
    const session = sessionRow(user.id, { created_at: NOW + 3 });
    await store.sessions.start({ session, password_hash: null, replaces: former.token_hash });
    expect(await store.sessions.find({ token_hash: former.token_hash, now: NOW })).toBeUndefined();
    expect(await store.sessions.find({ token_hash: session.token_hash, now: NOW })).toBeDefined();
    const unknown = { session: sessionRow(user.id), password_hash: null, replaces: newId('gone') };
    expect(await store.sessions.start(unknown)).toEqual({ outcome: 'started' });
  });

  it.each(['is live', 'has run out', 'was ended'])(
    'hands what the replaced session opened to the next one of the same user, when it %s',
    async (state) => {
      const { store } = world();
      const parties = await world().parties();
      const granted = await world().granted('openid', parties);
      const offline = await world().granted('openid offline_access', parties);
      const { user, session: former } = parties;
      const started = state === 'has run out' ? former.expires_at + 1 : NOW;
      if (state === 'was ended') await store.sessions.end({ id: former.id, user_id: user.id, now: NOW });
      const session = sessionRow(user.id, { created_at: started, expires_at: started + HOUR });
      await store.sessions.start({ session, password_hash: null, replaces: former.token_hash });
      expect(await world().isLive(granted.issuance)).toBe(state !== 'was ended');
      await store.sessions.end({ id: session.id, user_id: user.id, now: started });
      expect(await world().isLive(granted.issuance)).toBe(false);
      expect(await world().isLive(offline.issuance)).toBe(true);
    },
  );

  it('ends what the replaced session opened, but not offline access, when somebody else signs in', async () => {
    const { store } = world();
    const parties = await world().parties();
    const online = await world().granted('openid', parties);
    const offline = await world().granted('openid offline_access', parties);
    const session = sessionRow((await world().user()).id, { created_at: NOW + 3 });
    await store.sessions.start({ session, password_hash: null, replaces: parties.session.token_hash });
    expect(await store.families.find({ id: online.family.id })).toMatchObject({
      revoked_at: NOW + 3,
      revoked_reason: 'session_replaced',
    });
    expect(await store.families.find({ id: offline.family.id })).toEqual(offline.family);
  });

  it('starts no second session under one token, and then leaves the former one alone', async () => {
    const { store } = world();
    const user = await world().user();
    const former = await world().session(user);
    const twin = sessionRow(user.id, { token_hash: former.token_hash });
    const start = { session: twin, password_hash: null, replaces: former.token_hash };
    await expect(store.sessions.start(start)).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.sessions.find({ token_hash: former.token_hash, now: NOW })).toMatchObject({
      id: former.id,
    });
  });

  it('moves the idle end, never past the absolute end', async () => {
    const { store } = world();
    const user = await world().user();
    const { id, token_hash } = await world().session(user, { absolute_expires_at: NOW + 2 * HOUR });
    await store.sessions.touch({ id, last_seen_at: NOW + MINUTE, expires_at: NOW + HOUR + MINUTE });
    expect(await store.sessions.find({ token_hash, now: NOW })).toMatchObject({
      last_seen_at: NOW + MINUTE,
      expires_at: NOW + HOUR + MINUTE,
    });
    await store.sessions.touch({ id, last_seen_at: NOW + HOUR, expires_at: NOW + 3 * HOUR });
    expect(await store.sessions.find({ token_hash, now: NOW })).toMatchObject({
      last_seen_at: NOW + HOUR,
      expires_at: NOW + 2 * HOUR,
    });
  });

  it('wakes no session that has ended or expired', async () => {
    const { store } = world();
    const user = await world().user();
    const ended = await world().session(user);
    const expired = await world().session(user, { expires_at: NOW + 10 });
    await store.sessions.end({ id: ended.id, user_id: user.id, now: NOW });
    const seen = { last_seen_at: NOW + 10, expires_at: NOW + HOUR };
    for (const { id } of [ended, expired]) await store.sessions.touch({ id, ...seen });
    expect(await store.sessions.listOfUser({ user_id: user.id, now: NOW + 10 })).toEqual([]);
  });

  it('lists the live sessions of one user, newest first', async () => {
    const { store } = world();
    const user = await world().user();
    const older = await world().session(user, { created_at: NOW - 5 });
    const newer = await world().session(user, { created_at: NOW });
    await world().session(user, { expires_at: NOW });
    await world().session(await world().user());
    const listed = await store.sessions.listOfUser({ user_id: user.id, now: NOW });
    expect(listed).toEqual([newer, older]);
  });

  it('ends with sign-out what the session opened, but not what has offline access', async () => {
    const { store } = world();
    const parties = await world().parties();
    const online = await world().granted('openid profile', parties);
    const offline = await world().granted('openid offline_access', parties);
    const lookalike = await world().granted('not_offline_access offline_access_not', parties);
    const nearly = await world().granted('openid offline-access OFFLINE_ACCESS', parties);
    const elsewhere = await world().granted('openid', {
      ...parties,
      session: await world().session(parties.user),
    });
    const end = { id: parties.session.id, user_id: parties.user.id, now: NOW + 2 };
    expect(await store.sessions.end(end)).toEqual({ outcome: 'ended' });
    for (const { family } of [online, lookalike, nearly]) {
      expect(await store.families.find({ id: family.id })).toMatchObject({
        revoked_at: NOW + 2,
        revoked_reason: 'session_ended',
      });
    }
    for (const { family } of [offline, elsewhere]) {
      expect(await store.families.find({ id: family.id })).toMatchObject({ revoked_at: null });
    }
  });

  it('ends a session once, and only for its owner', async () => {
    const { store } = world();
    const { user, session } = await world().granted();
    const stranger = await world().user();
    const end = { id: session.id, user_id: user.id, now: NOW };
    expect(await store.sessions.end({ ...end, user_id: stranger.id })).toEqual({ outcome: 'unknown' });
    expect(await store.sessions.find({ token_hash: session.token_hash, now: NOW })).toBeDefined();
    expect(await world().hasLiveFamily(user)).toBe(true);
    expect(tally(await atOnce(5, () => store.sessions.end(end)))).toEqual({ ended: 1, unknown: 4 });
  });

  it('ends all sessions and families of a user, offline access too', async () => {
    const { store } = world();
    const granted = await world().granted('openid offline_access');
    await world().session(granted.user);
    const ended = await store.sessions.endAll({ user_id: granted.user.id, except: null, now: NOW + 1 });
    expect(ended).toEqual({ ended: 2 });
    expect(await store.sessions.listOfUser({ user_id: granted.user.id, now: NOW })).toEqual([]);
    expect(await world().hasLiveFamily(granted.user)).toBe(false);
  });

  it('keeps the one session that is excepted, with its families', async () => {
    const { store } = world();
    const kept = await world().granted();
    const other = await world().granted('openid', { ...kept, session: await world().session(kept.user) });
    const ended = await store.sessions.endAll({ user_id: kept.user.id, except: kept.session.id, now: NOW });
    expect(ended).toEqual({ ended: 1 });
    expect(await world().isLive(kept.issuance)).toBe(true);
    expect(await world().isLive(other.issuance)).toBe(false);
  });
}
