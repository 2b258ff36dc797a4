import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HASHING, LOCKOUT, openSite, PASSWORD, type Site } from '../../test/browser/site.ts';
import { describeEngines } from '../../test/setup/engines.ts';
import { silentLog } from '../kernel/log.ts';
import type { IdentityEvent } from './events.ts';
import { Lockout } from './lockout.ts';
import { PasswordHasher } from './passwords.ts';
import { PasswordSignIn } from './sign-in.ts';
import type { User } from './user.ts';
import { Users } from './users.ts';

describeEngines('signing in with a password', (engine) => {
  let site: Site;
  beforeAll(async () => {
    site = await openSite(engine);
    await site.users.create({ username: 'ada', password: PASSWORD, email: 'ada@example.com' });
    await site.users.create({ username: 'nopassword', password: null });
    const gone = await site.users.create({ username: 'gone', password: PASSWORD });
    await site.users.setStatus(gone.id, 'disabled');
  });
  afterAll(() => site[Symbol.asyncDispose]());

  let sources = 0;
  const freshSource = () => `198.51.100.${++sources}`;
  const desk = (hasher = site.hasher) => {
    const events: IdentityEvent[] = [];
    const signIn = new PasswordSignIn({
      users: site.users,
      hasher,
      lockout: new Lockout({ store: site.store.loginFailures, clock: site.clock, options: LOCKOUT }),
      sessions: site.sessions,
      record: async (event) => void events.push(event),
      log: silentLog,
    });
    const source = freshSource();
    const attempt = (login: string, password: string, replaces: string | null = null) =>
      signIn.attempt({ login, password, source, userAgent: 'Test', replaces });
    return { attempt, events };
  };

  test.each(['ada', 'ADA ', 'ada@example.com'])(
    '%j with the right password starts a session',
    async (login) => {
      const { attempt, events } = desk();
      const answer = await attempt(login, PASSWORD);
      if (answer.outcome !== 'signed_in') throw new Error(answer.outcome);
      expect(answer.session).toMatchObject({ amr: ['pwd'], acr: 'urn:authserver:acr:1', user_agent: 'Test' });
      expect((await site.sessions.find(answer.token))?.username).toBe('ada');
      expect(events).toMatchObject([
        {
          action: 'user.signed_in',
          actor: `user:${answer.session.user_id}`,
          detail: { session_id: answer.session.id },
        },
      ]);
    },
  );

  test('wrong password, unknown, disabled and passwordless users get one and the same answer', async () => {
    const { attempt, events } = desk();
    expect(await attempt('ada', 'wrong password')).toEqual({ outcome: 'refused' });
    expect(await attempt('nobody', PASSWORD)).toEqual({ outcome: 'refused' });
    expect(await attempt('gone', PASSWORD)).toEqual({ outcome: 'refused' });
    expect(await attempt('nopassword', PASSWORD)).toEqual({ outcome: 'refused' });
    expect(events.map(({ action }) => action)).toEqual(Array(4).fill('user.sign_in_failed'));
    expect(JSON.stringify(events)).not.toContain('nobody');
  });

  test('the tenth failure locks the account, known or not; the right password does not open it', async () => {
    for (const login of ['ada', 'nobody']) {
      const { attempt, events } = desk();
      for (let i = 0; i < 9; i++) expect((await attempt(login, 'wrong password')).outcome).toBe('refused');
      expect(await attempt(login, 'wrong password')).toEqual({ outcome: 'locked', retryAfter: 900 });
      expect((await attempt(login, PASSWORD)).outcome).toBe('locked');
      expect(events.filter(({ action }) => action === 'user.locked_out')).toHaveLength(1);
    }
  });

  test('a success clears the count', async () => {
    const { attempt } = desk();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 9; i++) expect((await attempt('ada', 'wrong password')).outcome).toBe('refused');
      expect((await attempt('ada', PASSWORD)).outcome).toBe('signed_in');
    }
  });

  test('guesses sent all at once do not outrun the lock', async () => {
    // A hash costs more than a write, as it does in earnest.
    const hasher = new PasswordHasher({ ...HASHING, memory: 8192, concurrency: 1, waiting: 100 });
    const ids = { next: () => `usr_sought_${engine.name}` };
    const users = new Users({ store: site.store.users, hasher, clock: site.clock, ids });
    await users.create({ username: 'sought', password: PASSWORD });
    const { attempt } = desk(hasher);
    const guesses = Array.from({ length: 60 }, () => attempt('sought', 'wrong password'));
    const right = attempt('sought', PASSWORD);
    await Promise.all(guesses);
    expect((await right).outcome).toBe('locked');
  });

  test('a new session has a new token and ends the one the browser had', async () => {
    const { attempt } = desk();
    const first = await attempt('ada', PASSWORD);
    if (first.outcome !== 'signed_in') throw new Error(first.outcome);
    const second = await attempt('ada', PASSWORD, first.token);
    if (second.outcome !== 'signed_in') throw new Error(second.outcome);
    expect(second.token).not.toBe(first.token);
    expect(await site.sessions.find(first.token)).toBeUndefined();
  });

  describe('while the password is being checked', () => {
    /** Lets something happen between the answer of the first check and what is made of it. */
    class Interrupted extends PasswordHasher {
      readonly #happens: () => Promise<unknown>;
      #done = false;
      constructor(happens: () => Promise<unknown>) {
        super(HASHING);
        this.#happens = happens;
      }
      override async verify(stored: string | null, password: string): Promise<boolean> {
        const right = await super.verify(stored, password);
        if (!this.#done) {
          this.#done = true;
          await this.#happens();
        }
        return right;
      }
    }

    let users = 0;
    const interrupted = async (happens: (user: User) => Promise<unknown>) => {
      const user = await site.users.create({ username: `interrupted-${++users}`, password: PASSWORD });
      const { attempt, events } = desk(new Interrupted(() => happens(user)));
      const answer = await attempt(user.username, PASSWORD);
      return { user, answer, events };
    };

    test.each<[string, (user: User) => Promise<unknown>]>([
      ['the password is changed', ({ id }) => site.users.setPassword(id, 'a wholly new password')],
      ['the user is disabled', ({ id }) => site.users.setStatus(id, 'disabled')],
      ['the user is removed', ({ id }) => site.users.remove(id)],
    ])('%s: no session, and the answer of a wrong password', async (_, happens) => {
      const { user, answer, events } = await interrupted(happens);
      expect(answer).toEqual({ outcome: 'refused' });
      expect(events).toMatchObject([{ action: 'user.sign_in_failed' }]);
      await site.users.setStatus(user.id, 'active').catch(() => undefined);
      expect(await site.sessions.list(user.id)).toEqual([]);
    });

    test('the same password is given another hash: the right password stays right', async () => {
      const { answer } = await interrupted(({ id }) => site.users.setPassword(id, PASSWORD));
      expect(answer.outcome).toBe('signed_in');
    });
  });

  test('a hash with old parameters is renewed, and the password stays the same', async () => {
    const stronger = new PasswordHasher({ ...HASHING, memory: 128, passes: 2 });
    const parts = { store: site.store.users, clock: site.clock, ids: { next: () => `usr_${engine.name}` } };
    await new Users({ ...parts, hasher: site.hasher }).create({ username: 'old', password: PASSWORD });
    const users = new Users({ ...parts, hasher: stronger });
    const before = await users.findByLogin('old');
    const signIn = new PasswordSignIn({
      users,
      hasher: stronger,
      lockout: new Lockout({ store: site.store.loginFailures, clock: site.clock, options: LOCKOUT }),
      sessions: site.sessions,
      record: async () => {},
      log: silentLog,
    });
    const attempt = {
      login: 'old',
      password: PASSWORD,
      source: freshSource(),
      userAgent: '',
      replaces: null,
    };
    expect((await signIn.attempt(attempt)).outcome).toBe('signed_in');
    const after = await users.findByLogin('old');
    expect(before?.passwordHash).toContain('m=64,t=1');
    expect(after?.passwordHash).toContain('m=128,t=2');
    expect((await signIn.attempt(attempt)).outcome).toBe('signed_in');
    expect((await users.findByLogin('old'))?.passwordHash).toBe(after?.passwordHash);
  });

  test('an unknown user is refused as slowly as a known one', async () => {
    const hasher = new PasswordHasher({ ...HASHING, memory: 8192, passes: 2 });
    const users = new Users({
      store: site.store.users,
      hasher,
      clock: site.clock,
      ids: { next: () => `usr_slow_${engine.name}` },
    });
    await users.create({ username: 'slow', password: PASSWORD });
    const times = { known: [] as number[], unknown: [] as number[] };
    for (let round = 0; round < 20; round++) {
      // A new desk is a new source: nobody gets locked out.
      for (const [kind, login] of [
        ['known', 'slow'],
        ['unknown', 'nobody'],
      ] as const) {
        const { attempt } = desk(hasher);
        const start = performance.now();
        expect((await attempt(login, 'wrong password')).outcome).toBe('refused');
        times[kind].push(performance.now() - start);
      }
    }
    const ratio = quickest(times.unknown) / quickest(times.known);
    expect(ratio).toBeGreaterThan(0.5);
    expect(ratio).toBeLessThan(2);
  });
});

/** A busy machine only adds time: the quickest of many tells what the work itself costs. */
function quickest(values: readonly number[]): number {
  return Math.min(...values);
}
