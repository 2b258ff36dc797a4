/** What the store promises about single things that a backup brings back: all that still holds, and nothing else. */
import { describe, expect, it } from 'vitest';
import type { ClientRecord } from '../records.ts';
import type { FormerClient, FormerUser } from '../store.ts';
import {
  clientRow,
  consentRow,
  HOUR,
  issuanceRow,
  MINUTE,
  NOW,
  resourceRow,
  secretRow,
  userRow,
} from './rows.ts';
import { atOnce, type World } from './world.ts';

const LATER = NOW + HOUR;

export function describeReinstating(world: () => World): void {
  describe('reinstated users', () => describeUsers(world));
  describe('reinstated clients', () => describeClients(world));
  describe('reinstated resources', () => describeResources(world));
  describe('reinstated consents', () => describeConsents(world));
}

/** The last revocation by now: what a backup that is made at this moment knows. */
async function lastSeen({ store }: World): Promise<string> {
  const { until } = await store.reinstate.lookAtUser({ ...formerUser(), seen: '' });
  return until;
}

function formerUser(given: Partial<FormerUser['user']> = {}): FormerUser {
  const user = userRow(given);
  return { user, password: { user_id: user.id, hash: 'former hash', changed_at: NOW } };
}

async function addUser(world: World, { user, password }: FormerUser): Promise<void> {
  await world.store.users.create({ user, password_hash: password?.hash ?? null });
}

function describeUsers(world: () => World): void {
  it('come back as they were with their password, once', async () => {
    const { store } = world();
    const seen = await lastSeen(world());
    const former = formerUser();
    await addUser(world(), former);
    await store.users.remove({ id: former.user.id, now: LATER });
    const { until, ...outlook } = await store.reinstate.lookAtUser({ ...former, seen });
    expect(outlook).toEqual({ former, held: [], removed_at: LATER, current: null, rivals: [] });
    const input = { ...former, until };
    const answers = await atOnce(5, () => store.reinstate.user(input));
    expect(answers.map(({ outcome }) => outcome).sort()).toEqual([
      'reinstated',
      ...['taken', 'taken', 'taken', 'taken'],
    ]);
    expect(await store.users.find({ id: former.user.id })).toEqual(former.user);
    expect(await store.users.findByLogin({ login: former.user.username })).toMatchObject({
      password_hash: 'former hash',
    });
  });

  it('come back without what was taken away since: the password, the right to sign in', async () => {
    const { store } = world();
    const former = formerUser();
    const { id } = former.user;
    await addUser(world(), former);
    await store.users.setStatus({ id, status: 'disabled', now: NOW + 1 });
    await store.users.setStatus({ id, status: 'active', now: NOW + 2 });
    const seen = await lastSeen(world());
    const whole = await store.reinstate.lookAtUser({ ...former, seen });
    expect(whole).toMatchObject({ former, held: [], current: { ...former.user, updated_at: NOW + 2 } });
    await store.users.setPassword({ user_id: id, hash: 'another', changed_at: LATER });
    await store.users.setStatus({ id, status: 'disabled', now: LATER + 1 });
    const held = await store.reinstate.lookAtUser({ ...former, seen });
    expect(held.held).toEqual([
      { kind: 'password_changed', at: LATER },
      { kind: 'user_disabled', at: LATER + 1 },
    ]);
    expect(held.former).toEqual({
      user: { ...former.user, status: 'disabled', updated_at: LATER + 1 },
      password: null,
    });
    await store.users.setStatus({ id, status: 'active', now: LATER + 2 });
    const enabled = await store.reinstate.lookAtUser({ ...former, seen });
    expect(enabled.former).toEqual({ user: former.user, password: null });
    const disabled = { ...former, user: { ...former.user, status: 'disabled' as const } };
    expect((await store.reinstate.lookAtUser({ ...disabled, seen })).former.user).toEqual(disabled.user);
  });

  it('do not come back when something was taken away after the look, or their name or address is in use', async () => {
    const { store } = world();
    const former = formerUser();
    const { id, username, email } = former.user;
    const seen = await lastSeen(world());
    const { until } = await store.reinstate.lookAtUser({ ...former, seen });
    await addUser(world(), former);
    await store.users.setPassword({ user_id: id, hash: 'another', changed_at: LATER });
    await store.users.remove({ id, now: LATER });
    expect(await store.reinstate.user({ ...former, until })).toEqual({ outcome: 'changed' });
    const [byName, byAddress] = [await world().user({ username }), await world().user({ email })];
    const again = await store.reinstate.lookAtUser({ ...former, seen });
    expect(again.rivals.map((rival) => rival.id).sort()).toEqual([byName.id, byAddress.id].sort());
    expect(await store.reinstate.user({ ...former, until: again.until })).toEqual({ outcome: 'taken' });
    expect(await store.users.find({ id })).toBeUndefined();
    const nameless = formerUser({ email: null });
    expect((await store.reinstate.lookAtUser({ ...nameless, seen })).rivals).toEqual([]);
  });
}

function formerClient(given: Partial<ClientRecord> = {}): FormerClient {
  const client = clientRow(given);
  return { client, secrets: [secretRow(client.id)] };
}

async function addClient({ store }: World, { client, secrets }: FormerClient): Promise<void> {
  await store.clients.create({ client, secret: secrets[0] ?? null });
}

function describeClients(world: () => World): void {
  it('come back as they were with their secrets, and none of the tokens that they had', async () => {
    const { store } = world();
    const seen = await lastSeen(world());
    const former = formerClient();
    const { id } = former.client;
    await addClient(world(), former);
    const tokens = [1, 2, 3].map((n) => issuanceRow({ client_id: id, expires_at: LATER + n }));
    const ofAnother = issuanceRow({ client_id: (await world().client()).id, expires_at: LATER });
    for (const issuance of [...tokens, ofAnother]) await store.issuances.record({ issuance });
    await store.clients.remove({ id, now: NOW + 1 });
    let revoked = 0;
    for (let after: number | null = NOW + 1; after !== null; ) {
      const input = { client_id: id, now: NOW + 1, after, limit: 1 };
      const step: { count: number; next: number | null } = await store.reinstate.voidTokens(input);
      revoked += step.count;
      after = step.next;
    }
    expect(revoked).toBe(3);
    const look = { ...former, seen, now: NOW + 1 };
    const { until, ...outlook } = await store.reinstate.lookAtClient(look);
    expect(outlook).toEqual({ former, held: [], removed_at: NOW + 1, current: null });
    expect(await store.reinstate.client({ ...former, until })).toEqual({ outcome: 'reinstated' });
    expect(await store.reinstate.client({ ...former, until })).toEqual({ outcome: 'taken' });
    expect(await store.clients.find({ id })).toEqual({ ...former.client, secrets: former.secrets });
    for (const token of tokens) expect(await world().isLive(token, NOW + 2)).toBe(false);
    expect(await world().isLive(ofAnother, NOW + 2)).toBe(true);
  });

  it('come back without what was taken away since: redirect URIs, secrets, the right to be used', async () => {
    const { store } = world();
    const [kept, lost] = ['https://kept.example/', 'https://lost.example/'];
    const former = formerClient({ redirect_uris_json: JSON.stringify([kept, lost]) });
    const { id } = former.client;
    await addClient(world(), former);
    const seen = await lastSeen(world());
    const narrower = { ...former.client, redirect_uris_json: JSON.stringify([kept]), updated_at: LATER };
    await store.clients.update({ client: narrower });
    const secret = secretRow(id, { created_at: LATER });
    await store.clients.addSecret({ secret, former_expire_at: LATER + MINUTE });
    await store.clients.setStatus({ id, status: 'disabled', now: LATER + 1 });
    await store.clients.remove({ id, now: LATER + 2 });
    const soon = await store.reinstate.lookAtClient({ ...former, seen, now: LATER });
    expect(soon.held).toEqual([
      { kind: 'client_narrowed', at: LATER },
      { kind: 'client_secret_rotated', at: LATER },
      { kind: 'client_disabled', at: LATER + 1 },
    ]);
    expect(soon.former).toEqual({
      client: {
        ...former.client,
        redirect_uris_json: JSON.stringify([kept]),
        status: 'disabled',
        updated_at: LATER + 1,
      },
      secrets: [{ ...former.secrets[0], expires_at: LATER + MINUTE }],
    });
    const late = await store.reinstate.lookAtClient({ ...former, seen, now: LATER + MINUTE });
    expect(late.former.secrets).toEqual([]);
    expect(await store.reinstate.client({ ...late.former, until: seen })).toEqual({ outcome: 'changed' });
    expect(await store.reinstate.client({ ...late.former, until: late.until })).toEqual({
      outcome: 'reinstated',
    });
    expect(await store.clients.find({ id })).toEqual({ ...late.former.client, secrets: [] });
  });
}

function describeResources(world: () => World): void {
  it('come back without the scopes that were taken away since', async () => {
    const { store } = world();
    const [read, write] = ['read', 'write'].map((name) => ({ name, description: name }));
    const resource = resourceRow({ scopes_json: JSON.stringify([read, write]) });
    const { id } = resource;
    await store.resources.create({ resource });
    const seen = await lastSeen(world());
    const whole = await store.reinstate.lookAtResource({ resource, seen });
    expect(whole).toMatchObject({ former: resource, held: [], removed_at: null, current: resource });
    const narrower = { ...resource, scopes_json: JSON.stringify([read]) };
    await store.resources.update({ resource: { ...narrower, updated_at: LATER } });
    await store.resources.remove({ id, now: LATER + 1 });
    const held = await store.reinstate.lookAtResource({ resource, seen });
    expect(held).toMatchObject({
      former: narrower,
      held: [{ kind: 'resource_narrowed', at: LATER }],
      removed_at: LATER + 1,
      current: null,
    });
    const { until } = held;
    const later = await store.reinstate.lookAtResource({ resource, seen: until });
    expect(later).toMatchObject({ former: resource, held: [], removed_at: null });
  });
}

function describeConsents(world: () => World): void {
  it('are added where both parties are there and were when it was granted, and change none that is there', async () => {
    const { store } = world();
    const [user, client] = [await world().user(), await world().client()];
    const later = await world().client({ created_at: LATER });
    const there = consentRow(user.id, client.id, { scope: 'openid' });
    await store.consents.save({ consents: [there] });
    const consents = [
      { ...there, scope: 'openid everything' },
      consentRow(user.id, client.id, { resource: 'https://api.example/' }),
      consentRow(user.id, 'cli_nobody'),
      consentRow('usr_nobody', client.id),
      consentRow(user.id, later.id),
    ];
    expect(await store.reinstate.consents({ consents })).toEqual({ outcome: 'added', added: 1 });
    expect(await store.reinstate.consents({ consents })).toEqual({ outcome: 'added', added: 0 });
    expect(await store.consents.listOfUser({ user_id: user.id })).toEqual([there, consents[1]]);
  });

  it('that were withdrawn are told, by user and by client, a page at a time', async () => {
    const { store } = world();
    const seen = await lastSeen(world());
    const [user, other] = [await world().user(), await world().user()];
    const [client, another] = [await world().client(), await world().client()];
    for (const [one, of] of [
      [user, client],
      [user, another],
      [other, client],
    ] as const) {
      await store.consents.save({ consents: [consentRow(one.id, of.id)] });
      await store.consents.withdraw({ user_id: one.id, client_id: of.id, now: LATER });
    }
    const page = { after: seen, limit: 10 };
    const byUser = await store.reinstate.withdrawnBy({ ...page, id: user.id });
    expect(byUser.map(({ client_id }) => client_id)).toEqual([client.id, another.id]);
    const fromClient = await store.reinstate.withdrawnFrom({ ...page, id: client.id });
    expect(fromClient.map(({ user_id }) => user_id)).toEqual([user.id, other.id]);
    const next = { after: fromClient[0]?.id ?? '', limit: 1, id: client.id };
    expect(await store.reinstate.withdrawnFrom(next)).toEqual([fromClient[1]]);
  });
}
