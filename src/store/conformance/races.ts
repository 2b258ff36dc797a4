/** Ending somebody's access while tokens are being given out: whoever wins, nothing lives on afterwards. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { UserRecord } from '../records.ts';
import { NOW, sessionRow } from './rows.ts';
import { atOnce, type Granted, purchaseOf, type World } from './world.ts';

const ROUNDS = 100;
const AT_ONCE = 10;

type End = (world: World, granted: Granted) => Promise<unknown>;

const endings: Readonly<Record<string, End>> = {
  'the user is disabled': ({ store }, { user }) =>
    store.users.setStatus({ id: user.id, status: 'disabled', now: NOW }),
  'the password is changed': ({ store }, { user }) =>
    store.users.setPassword({ user_id: user.id, hash: 'new', changed_at: NOW }),
  'all sessions are ended': ({ store }, { user }) =>
    store.sessions.endAll({ user_id: user.id, except: null, now: NOW }),
  'the session is signed out': ({ store }, { user, session }) =>
    store.sessions.end({ id: session.id, user_id: user.id, now: NOW }),
  'consent is withdrawn': ({ store }, { user, client }) =>
    store.consents.withdraw({ user_id: user.id, client_id: client.id, now: NOW }),
};

/** Here the two may deadlock, and then PostgreSQL takes a second to choose who tries again. */
const removals: Readonly<Record<string, End>> = {
  'the user is removed': ({ store }, { user }) => store.users.remove({ id: user.id, now: NOW }),
  'the client is removed': ({ store }, { client }) => store.clients.remove({ id: client.id, now: NOW }),
};

/** What must not leave a session behind that the old state let in. */
const lockings: Readonly<Record<string, (world: World, user: UserRecord) => Promise<unknown>>> = {
  'the user is disabled': ({ store }, { id }) => store.users.setStatus({ id, status: 'disabled', now: NOW }),
  'the password is changed': ({ store }, { id }) =>
    store.users.setPassword({ user_id: id, hash: 'new', changed_at: NOW }),
};

export function describeRaces(world: () => World): void {
  describe.each(Object.entries(endings))('while %s', (_, end) => {
    it(`leaves no live family behind a redeemed code or a rotated token, ${ROUNDS} times`, async () => {
      for (let round = 0; round < ROUNDS; round += AT_ONCE) await races(world(), end, round);
    });
  });
  describe.each(Object.entries(lockings))('while %s', (_, lock) => {
    it(`leaves no session behind a sign-in under way, ${ROUNDS} times`, async () => {
      for (let round = 0; round < ROUNDS; round += AT_ONCE)
        await atOnce(AT_ONCE, (index) => signInRace(world(), lock, round + index));
    });
  });
  describe('while the session is replaced', () => {
    it(`leaves nothing behind a redeemed code that signing out does not end, ${ROUNDS} times`, async () => {
      for (let round = 0; round < ROUNDS; round += AT_ONCE)
        await atOnce(AT_ONCE, (index) => replaceRace(world(), round + index));
    });
  });
  describe.each(Object.entries(removals))('while %s', (_, end) => {
    it(`leaves no live family behind a redeemed code or a rotated token, ${AT_ONCE} times`, async () => {
      await races(world(), end, 0);
    });
  });
}

async function races(world: World, end: End, first: number): Promise<void> {
  const survived = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, index) => race(world, end, first + index)),
  );
  expect(survived).not.toContain(true);
}

async function signInRace(world: World, lock: (typeof lockings)[string], round: number): Promise<void> {
  const user = await world.user();
  const start = () =>
    world.store.sessions.start({
      session: sessionRow(user.id),
      password_hash: 'first hash',
      replaces: null,
    });
  const steps = [start, () => lock(world, user)];
  const [first, second] = round % 2 === 0 ? steps : steps.toReversed();
  const begun = first?.();
  await passTurns(round);
  await Promise.all([begun, second?.()]);
  expect(await world.store.sessions.listOfUser({ user_id: user.id, now: NOW })).toEqual([]);
}

async function replaceRace(world: World, round: number): Promise<void> {
  const { store } = world;
  const parties = await world.parties();
  const { user, session: former } = parties;
  const code = await world.code(parties);
  const redeemed = store.codes.redeem(purchaseOf(code));
  await passTurns(round);
  const session = sessionRow(user.id);
  await store.sessions.start({ session, password_hash: 'first hash', replaces: former.token_hash });
  await redeemed;
  await store.sessions.end({ id: session.id, user_id: user.id, now: NOW });
  expect(await world.hasLiveFamily(user)).toBe(false);
}

/** A little later in each round, so that the two meet at every step of each other. */
async function passTurns(round: number): Promise<void> {
  for (let passed = 0; passed < round % 7; passed++) await turn();
}

/** True when a family survived. */
async function race(world: World, end: End, round: number): Promise<boolean> {
  const granted = await world.granted();
  const code = await world.code(granted);
  const tokens = [world.store.codes.redeem(purchaseOf(code)), world.rotate(granted)];
  await passTurns(round);
  await Promise.all([...tokens, end(world, granted)]);
  return world.hasLiveFamily(granted.user);
}
