// What was revoked, disabled, removed or replaced after a backup stays so when the backup is brought back: each old credential
// is tried against the product that serves the restored rows.

import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AdminApiKey } from '../../src/admin/admin-api-key.ts';
import { storageChoice } from '../../src/app/database.ts';
import { sha256 } from '../../src/kernel/bytes.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { type Aftercare, makeSafe } from '../../src/ops/restore/aftercare.ts';
import { type Client, writeClient } from '../../src/registry/clients.ts';
import type { ClientMetadata } from '../../src/registry/metadata.ts';
import { secretRecord } from '../../src/registry/new-client.ts';
import { type Browser, bearer, PASSWORD, Product } from '../oauth/product.ts';
import { describeEngines } from '../setup/engines.ts';
import { revocationsOf, SecondLife } from './second-life.ts';

const HOUR = 3600;

/** On a busy machine, ms: they sign in dozens of times. */
const PATIENCE = 90_000;

describeEngines('after a restore', (engine) => {
  let product: Product;
  let stack: AsyncDisposableStack;
  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    product = stack.use(await Product.open(engine));
  });
  afterEach(() => stack.disposeAsync());

  const storage = () => storageChoice(product.rooms.config);
  const now = () => product.clock.now();
  const backUp = async () => stack.use(await SecondLife.of(storage(), product.clock));
  /** Restores the backup later, with what the database knows then, and serves it. */
  async function restore(backup: SecondLife, given: Partial<Aftercare> = {}) {
    product.clock.advance(60);
    const request = {
      now: now(),
      sessions: 'keep',
      revocations: revocationsOf(product.rooms.store),
    } as const;
    const report = await backup.makeSafe({ ...request, ...given });
    return { report, restored: await serve(backup) };
  }
  const serve = async (backup: SecondLife) =>
    stack.use(await Product.on(product.rooms.config, backup.storage, product.clock));

  const change = async ({ id }: Client, changes: Partial<ClientMetadata>) => {
    const client = await product.rooms.clients.find(id);
    if (!client) throw new Error('no client');
    await product.rooms.store.clients.update({
      client: writeClient({ ...client, ...changes, updated_at: now() }),
    });
  };
  const rotate = (client: Client, former_expire_at = now()) => {
    const fresh = { id: `new ${client.id}`, client_id: client.id, secret: 'x'.repeat(40), now: now() };
    return product.rooms.store.clients.addSecret({ secret: secretRecord(fresh), former_expire_at });
  };

  /** Somebody with a session, and with tokens of a client; what of it still works, asked of a product. */
  async function person(client: Client, scope = 'openid') {
    const user = await product.user();
    const browser = await product.signedIn(user.username);
    const { tokens } = await product.grant(client, { browser, ask: { scope } });
    return { user, browser, client, tokens };
  }
  type Person = Awaited<ReturnType<typeof person>>;

  async function works(on: Product, { user, browser, client, tokens }: Person) {
    return {
      password: await signsIn(on, user.username),
      session: await hasSession(on, browser),
      access: await on.isActive(client, tokens.access_token).catch(() => false),
      userinfo: (await on.get('/oauth/userinfo', bearer(tokens.access_token))).status === 200,
      refresh: (await on.refresh(client, tokens.refresh_token)).status === 200,
    };
  }
  async function signsIn(on: Product, username: string, password = PASSWORD): Promise<boolean> {
    const browser = on.browser();
    await browser.submit(await browser.get('/signin'), { username, password });
    return browser.cookie('session') !== undefined;
  }
  /** In the same browser: what the first session had opened belongs to the next one, and ends with it. */
  async function signInAgainAndOut({ user, browser }: Person): Promise<void> {
    const { sessions } = product.rooms.store;
    const replaces = sha256(browser.cookie('session') ?? '');
    const found = await sessions.find({ token_hash: replaces, now: now() });
    if (!found) throw new Error('no session');
    const { username: _, ...former } = found;
    const session = { ...former, id: 'ses_next', token_hash: 'next', created_at: now() };
    await sessions.start({ session, password_hash: null, replaces });
    await sessions.end({ id: session.id, user_id: user.id, now: now() });
  }
  async function hasSession(on: Product, browser: Browser): Promise<boolean> {
    const cookie = `__Host-authserver_session=${browser.cookie('session')}`;
    return (await on.get('/account', { cookie })).status === 200;
  }
  const ALL = { password: true, session: true, access: true, userinfo: true, refresh: true };
  const NONE = { password: false, session: false, access: false, userinfo: false, refresh: false };

  test('what was taken away from people is away, and everybody else has what they had', {
    timeout: PATIENCE,
  }, async () => {
    const { rooms } = product;
    const app = await product.client();
    const people = {
      untouched: await person(app),
      password: await person(app),
      disabled: await person(app),
      removed: await person(app),
      session: await person(app),
      sessions: await person(app, 'openid offline_access'),
      consent: await person(app),
      family: await person(app),
      token: await person(app),
      enabled: await person(app),
      moved: await person(app),
    };
    const before = await person(app);
    await rooms.users.setStatus(before.user.id, 'disabled');
    const backup = await backUp();
    product.clock.advance(60);

    const at = now();
    await rooms.users.setPassword(people.password.user.id, 'another long password');
    await rooms.users.setStatus(people.disabled.user.id, 'disabled');
    await rooms.users.remove(people.removed.user.id);
    const session = await rooms.sessions.find(people.session.browser.cookie('session') ?? '');
    await rooms.store.sessions.end({ id: session?.id ?? '', user_id: people.session.user.id, now: at });
    await rooms.sessions.endAll(people.sessions.user.id);
    const consent = { user_id: people.consent.user.id, client_id: app.id, now: at };
    await rooms.store.consents.withdraw(consent);
    await product.as(app, '/oauth/revoke', { token: people.family.tokens.refresh_token });
    await product.as(app, '/oauth/revoke', { token: people.token.tokens.access_token });
    await rooms.users.setStatus(people.enabled.user.id, 'disabled');
    await rooms.users.setStatus(people.enabled.user.id, 'active');
    await rooms.users.setStatus(before.user.id, 'disabled');
    await rooms.users.setStatus(before.user.id, 'active');
    await signInAgainAndOut(people.moved);

    const { report, restored } = await restore(backup);
    const seen = Object.fromEntries(
      await Promise.all(
        Object.entries(people).map(async ([name, who]) => [name, await works(restored, who)] as const),
      ),
    );
    const tokens = { access: false, userinfo: false, refresh: false };
    expect(seen).toEqual({
      untouched: ALL,
      password: NONE,
      disabled: NONE,
      removed: NONE,
      session: { ...NONE, password: true },
      sessions: { ...NONE, password: true },
      consent: { ...ALL, ...tokens },
      family: { ...ALL, ...tokens },
      token: { ...ALL, access: false, userinfo: false },
      enabled: { ...NONE, password: true },
      // A sign-in over another is not noted, so where sessions are kept nothing at all may be missing.
      moved: { ...NONE, password: true, session: true },
    });
    expect(await signsIn(restored, people.password.user.username, 'another long password')).toBe(false);
    // A restore gives nothing that the backup did not hold.
    expect(await works(restored, before)).toEqual(NONE);
    const asked = await (await restored.signedIn(people.consent.user.username)).ask(app);
    expect(asked.answer.location?.pathname).toMatch(/\/consent$/);

    expect(report).toMatchObject({
      epoch: 1,
      passwords_to_reset: [people.password.user.id],
      secrets_to_reset: [],
      ended_sessions: 0,
      replayed: {
        ...{ password_changed: 1, user_disabled: 3, user_removed: 1, session_ended: 2, sessions_ended: 1 },
        ...{ grant_withdrawn: 1, family_revoked: 1, token_revoked: 1, user_enabled: 2 },
      },
    });
    expect(report.notes.join()).toContain('1 users changed their password');
    expect((await restored.rooms.store.deployment.get({})).restore_epoch).toBe(1);
  });

  test('what was taken away from clients is away', { timeout: PATIENCE }, async () => {
    const { store } = product.rooms;
    const clients = {
      untouched: await product.service('read'),
      disabled: await product.service('read'),
      removed: await product.service('read'),
      rotated: await product.service('read'),
      overlapping: await product.service('read'),
      enabled: await product.service('read'),
    };
    await product.resource('https://api.example', ['read']);
    const narrowed = await product.client({
      redirect_uris: ['https://app.example/callback', 'https://old.example/callback'],
    });
    const gets = async (on: Product, client: Client) => {
      const fields = { grant_type: 'client_credentials', resource: 'https://api.example', scope: 'read' };
      return (await on.token(client, fields)).status === 200;
    };
    const tokenOf = async (client: Client) =>
      (
        await product.token(client, {
          ...{ grant_type: 'client_credentials', resource: 'https://api.example', scope: 'read' },
        })
      ).json.access_token as string;
    const [kept, revoked] = [await tokenOf(clients.untouched), await tokenOf(clients.untouched)];
    const backup = await backUp();
    product.clock.advance(60);
    const late = await tokenOf(clients.untouched);
    for (const token of [revoked, late]) await product.as(clients.untouched, '/oauth/revoke', { token });
    const at = now();
    await store.clients.setStatus({ id: clients.disabled.id, status: 'disabled', now: at });
    await store.clients.remove({ id: clients.removed.id, now: at });
    await rotate(clients.rotated, at);
    await rotate(clients.overlapping, at + HOUR * 1000);
    await store.clients.setStatus({ id: clients.enabled.id, status: 'disabled', now: at });
    await store.clients.setStatus({ id: clients.enabled.id, status: 'active', now: at + 1 });
    const row = await store.clients.find({ id: narrowed.id });
    if (!row) throw new Error('no client');
    const { secrets: _, ...metadata } = row;
    const shorter = JSON.stringify(['https://app.example/callback', 'https://new.example/callback']);
    await store.clients.update({ client: { ...metadata, redirect_uris_json: shorter, updated_at: at } });

    const { report, restored } = await restore(backup);
    const seen = Object.fromEntries(
      await Promise.all(
        Object.entries(clients).map(async ([name, client]) => [name, await gets(restored, client)] as const),
      ),
    );
    expect(seen).toEqual({
      ...{
        untouched: true,
        disabled: false,
        removed: false,
        rotated: false,
        overlapping: true,
        enabled: true,
      },
    });
    expect(await restored.isActive(clients.untouched, kept)).toBe(true);
    expect(await restored.isActive(clients.untouched, revoked)).toBe(false);
    expect(await restored.isActive(clients.untouched, late)).toBe(false);
    const addresses = (await restored.rooms.clients.findActive(narrowed.id))?.redirect_uris;
    expect(addresses).toEqual(['https://app.example/callback']);
    expect([...report.secrets_to_reset].sort()).toEqual([clients.rotated.id, clients.overlapping.id].sort());
    // The overlap that was promised runs out here as it would have there.
    product.clock.advance(HOUR);
    expect(await gets(restored, clients.overlapping)).toBe(false);
  });

  test('a client that may have no scope any more has none, and one that got another has not more', async () => {
    await product.resource('https://api.example', ['read', 'write']);
    const clients = {
      untouched: await product.service('read'),
      emptied: await product.service('read write'),
      changed: await product.service('read'),
      tried: await product.service(''),
      both: await product.client({
        grant_types: ['authorization_code', 'client_credentials'],
        scope: 'openid read',
      }),
    };
    const gets = async (on: Product, client: Client) =>
      (await on.token(client, { grant_type: 'client_credentials', scope: 'read' })).status === 200;
    const seen = async (on: Product) =>
      Object.fromEntries(
        await Promise.all(
          Object.entries(clients).map(async ([name, client]) => [name, await gets(on, client)] as const),
        ),
      );
    const backup = await backUp();
    product.clock.advance(60);
    await change(clients.emptied, { scope: '' });
    await change(clients.changed, { scope: 'write' });
    await change(clients.tried, { scope: 'read' });
    await change(clients.tried, { scope: '' });
    await change(clients.both, { scope: '' });
    const left = { untouched: true, emptied: false, changed: false, tried: false, both: false };
    expect(await seen(product)).toEqual(left);
    const { report, restored } = await restore(backup);
    expect(await seen(restored)).toEqual(left);
    expect(report.replayed).toEqual({ client_narrowed: 4 });
    // They are in use all the same, and those who sign in at one are asked as they were.
    const grant = { grant_type: 'client_credentials' };
    expect((await restored.token(clients.emptied, grant)).status).toBe(200);
    expect((await restored.grant(clients.both, { ask: { scope: 'openid' } })).answer.status).toBe(200);
  });

  test('the way in which a client proved itself before works no more, and the receipt names the client', async () => {
    const jwks = () => ({
      keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })],
    });
    const byKey = { token_endpoint_auth_method: 'private_key_jwt', jwks: jwks() } as const;
    const [moved, swapped, back] = [
      await product.service(),
      await product.service('', byKey),
      await product.service('', byKey),
    ];
    const open = await product.client({ token_endpoint_auth_method: 'none' });
    const who = await person(open);
    const gets = async (on: Product, client: Client) =>
      (await on.token(client, { grant_type: 'client_credentials' })).status;
    const backup = await backUp();
    expect(await gets(product, moved)).toBe(200);
    product.clock.advance(60);
    await change(moved, { ...byKey, jwks: jwks() });
    await change(swapped, { jwks: jwks() });
    for (const client of [back, open]) {
      await rotate(client);
      await change(client, { token_endpoint_auth_method: 'client_secret_basic' });
    }
    expect(await gets(product, moved)).toBe(401);

    const { report, restored } = await restore(backup);
    expect(await gets(restored, moved)).toBe(401);
    expect((await restored.refresh(open, who.tokens.refresh_token)).json.error).toBe('invalid_client');
    for (const { id } of [swapped, back]) {
      const client = await restored.rooms.clients.findActive(id);
      expect(client).toMatchObject({ token_endpoint_auth_method: 'private_key_jwt', jwks: null });
    }
    expect(report.secrets_to_reset).toEqual([moved.id, open.id].sort());
    expect(report.keys_to_reset).toEqual([swapped.id, back.id].sort());
    expect(report.notes.join()).toContain('2 clients got another key');
  });

  test('a resource that was removed stays away, and so does a scope that one lost', async () => {
    const { store } = product.rooms;
    const [gone, kept] = ['https://gone.example', 'https://kept.example'];
    const service = await product.service('read write');
    await product.resource(gone);
    await product.resource(kept);
    const outcome = async (on: Product, resource: string, scope: string) => {
      const { json } = await on.token(service, { grant_type: 'client_credentials', resource, scope });
      return json.error ?? json.scope;
    };
    const outcomes = async (on: Product) => [
      await outcome(on, gone, 'read'),
      await outcome(on, kept, 'read'),
      await outcome(on, kept, 'write'),
    ];
    const backup = await backUp();
    expect(await outcomes(product)).toEqual(['read', 'read', 'write']);
    product.clock.advance(60);
    const [removed, narrower] = [
      await store.resources.findByUri({ uri: gone }),
      await store.resources.findByUri({ uri: kept }),
    ];
    if (!removed || !narrower) throw new Error('no resource');
    await store.resources.remove({ id: removed.id, now: now() });
    const scopes_json = '[{"name":"read","description":"Another"},{"name":"more","description":""}]';
    await store.resources.update({ resource: { ...narrower, scopes_json, updated_at: now() } });
    const left = ['invalid_target', 'read', 'invalid_scope'];
    expect(await outcomes(product)).toEqual(left);
    const { report, restored } = await restore(backup, { removals: 'disable' });
    expect(await outcomes(restored)).toEqual(left);
    expect(report.replayed).toEqual({ resource_removed: 1, resource_narrowed: 1 });
  });

  test('a clock that was set back gives nothing back: not an hour, and not to the day when time began', {
    timeout: PATIENCE,
  }, async () => {
    const { rooms } = product;
    const { clock, random } = rooms;
    const app = await product.client();
    const [changed, disabled] = [await person(app), await person(app)];
    const [service, early] = [await product.service(), await product.service()];
    const gets = async (on: Product, client: Client) =>
      (await on.token(client, { grant_type: 'client_credentials' })).status === 200;
    const keys = (on: Product) =>
      new AdminApiKey({ configured: undefined, settings: on.rooms.store.settings, clock, random });
    const admin = (await keys(product).makeFirst()) ?? '';
    expect([await gets(product, service), await gets(product, early)]).toEqual([true, true]);
    const backup = await backUp();
    const { time } = product.clock;
    product.clock.advance(-HOUR);
    await rooms.users.setPassword(changed.user.id, 'another long password');
    await rotate(service);
    await keys(product).rotate();
    product.clock.time = 1000;
    await rooms.users.setStatus(disabled.user.id, 'disabled');
    await rotate(early);
    product.clock.time = time;

    const { report, restored } = await restore(backup);
    expect(await works(restored, changed)).toEqual(NONE);
    expect(await works(restored, disabled)).toEqual(NONE);
    expect([await gets(restored, service), await gets(restored, early)]).toEqual([false, false]);
    expect(await keys(restored).matches(admin)).toBe(false);
    expect(report.notes.join()).not.toContain('left out');
  });

  test('what works once works no more, and nobody holds a lease', async () => {
    const { rooms } = product;
    const app = await product.client();
    const browser = await product.signedIn((await product.user()).username);
    const { code, verifier } = await browser.authorize(app);
    const [once, ever] = [await product.initialAccessToken(1), await product.initialAccessToken(null)];
    const lease = { name: 'purge', holder: 'one', acquired_at: now(), held_until: now() + 1e9 };
    await rooms.store.leases.acquire({ lease });
    const backup = await backUp();
    await product.redeem(app, { code, verifier });

    const { report, restored } = await restore(backup);
    expect((await restored.redeem(app, { code, verifier })).json).toMatchObject({ error: 'invalid_grant' });
    const register = (token: string) =>
      restored.call('POST', '/oauth/register', {
        json: { redirect_uris: ['https://app.example/callback'] },
        headers: bearer(token),
      });
    expect((await register(once)).status).toBe(401);
    expect((await register(ever)).status).toBe(201);
    expect(await restored.rooms.store.leases.find({ name: 'purge' })).toBeUndefined();
    expect(report.voided).toMatchObject({ auth_codes: 1, initial_access_tokens: 1, leases: 1 });
  });

  test('where sessions end, nobody is signed in and no token of anybody works; passwords and clients do', async () => {
    const app = await product.client();
    const people = [await person(app), await person(app, 'openid offline_access')];
    const backup = await backUp();
    const { report, restored } = await restore(backup, { sessions: 'end' });
    for (const who of people) expect(await works(restored, who)).toEqual({ ...NONE, password: true });
    expect(report).toMatchObject({ ended_sessions: 2, revoked_families: 2 });
    expect((await restored.grant(app)).answer.status).toBe(200);
  });

  test('the key of the admin API that was replaced opens nothing, and the next start makes another', async () => {
    const keyOn = ({ rooms: { store, clock } }: Product) =>
      new AdminApiKey({ configured: undefined, settings: store.settings, clock, random: systemRandom });
    const old = (await keyOn(product).makeFirst()) ?? '';
    const backup = await backUp();
    await keyOn(product).rotate();
    const { restored } = await restore(backup);
    expect(await keyOn(restored).matches(old)).toBe(false);
    const next = (await keyOn(restored).makeFirst()) ?? '';
    expect(await keyOn(restored).matches(next)).toBe(true);
  });

  test('a key that was compromised is dropped with all that it signed; the one that waited signs', async () => {
    const service = await product.service();
    const { keyring } = product.rooms;
    const token = async (on: Product) =>
      (await on.token(service, { grant_type: 'client_credentials' })).json.access_token as string;
    const [old, stolen] = [await token(product), keyring.state().signing ?? ''];
    const waiting = (await keyring.rotate()).kid;
    const backup = await backUp();
    await keyring.management.compromise(stolen);
    const { report, restored } = await restore(backup);
    expect(await restored.isActive(service, old)).toBe(false);
    expect(restored.rooms.keyring.state().signing).toBe(waiting);
    expect(restored.rooms.keyring.jwks().keys.map(({ kid }) => kid)).toEqual([waiting]);
    expect(await restored.isActive(service, await token(restored))).toBe(true);
    expect(await restored.rooms.store.issuances.findLive({ jti: jtiOf(old), now: now() })).toBeUndefined();
    expect(report.notes.join()).toContain(`${waiting}, which was waiting, signs now`);
  });

  test('where no other key waited none is made: the server names the way on, and that way works', async () => {
    const { keyring } = product.rooms;
    const stolen = keyring.state().signing ?? '';
    const backup = await backUp();
    await keyring.management.compromise(stolen);
    // Made and dropped after the backup: its rows are not in there, but nobody can bring it in as good any more.
    const later = keyring.state().signing ?? '';
    await keyring.management.compromise(later);
    product.clock.advance(60);
    const revocations = revocationsOf(product.rooms.store);
    const { notes } = await backup.makeSafe({ now: now(), sessions: 'keep', revocations });
    expect(notes.join()).toMatch(/No key signs: .*none is made in its place/);
    const states = await backup.use(({ keys }) => keys.list({}));
    expect(states.map(({ kid, state }) => [kid, state])).toEqual(
      expect.arrayContaining([
        [stolen, 'compromised'],
        [later, 'compromised'],
      ]),
    );
    await expect(serve(backup)).rejects.toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('authserver keys'),
    });
  });

  test('users and clients that were removed by mistake can be kept, disabled', async () => {
    const app = await product.client();
    const who = await person(app);
    const backup = await backUp();
    await product.rooms.users.remove(who.user.id);
    await product.rooms.store.clients.remove({ id: app.id, now: now() });
    const { restored } = await restore(backup, { removals: 'disable' });
    expect((await restored.rooms.users.find(who.user.id))?.status).toBe('disabled');
    expect((await restored.rooms.store.clients.find({ id: app.id }))?.status).toBe('disabled');
    expect((await works(restored, who)).password).toBe(false);
    await restored.rooms.users.setStatus(who.user.id, 'active');
    expect(await signsIn(restored, who.user.username)).toBe(true);
  });

  test('a second run comes to the same end, and the next restore knows what this one was told', {
    timeout: PATIENCE,
  }, async () => {
    const app = await product.client();
    const who = await person(app);
    const backup = await backUp();
    await product.rooms.users.setPassword(who.user.id, 'another long password');
    await product.rooms.users.remove((await product.user()).id);
    product.clock.advance(60);
    const known = await all(revocationsOf(product.rooms.store));
    const request = { now: now(), sessions: 'end', revocations: known } as const;
    const first = await backup.makeSafe(request);
    const digests = await backup.digests(product.clock);
    const second = await backup.makeSafe({ ...request, revocations: known.toReversed() });
    expect(await backup.digests(product.clock)).toEqual(digests);
    expect(second).toEqual({ ...first, ended_sessions: 0, revoked_families: 0, voided: expect.anything() });

    // Set again since: a restore of that state must not be told of the old change as if it were news.
    await backup.use(({ users }) =>
      users.setPassword({ user_id: who.user.id, hash: 'newest', changed_at: now() + 1 }),
    );
    const again = stack.use(await SecondLife.of(backup.storage, product.clock));
    const later = await again.makeSafe({ ...request, now: now() + 2, formerEpoch: 7 });
    expect(later).toMatchObject({ epoch: 8, replayed: {}, passwords_to_reset: [] });
    const ids = (await again.use((store) => all(revocationsOf(store)))).map(({ id }) => id);
    expect(ids).toHaveLength(3);
    expect(ids.map((id) => Number(id.slice(0, 6)))).toEqual([0, 0, 1]);
  });

  test('a revocation that nobody knows how to replay stops the restore', async () => {
    await product.rooms.users.remove((await product.user()).id);
    const [known] = await all(revocationsOf(product.rooms.store));
    const backup = await backUp();
    for (const strange of [{ kind: 'organisation_removed' }, { kind: 'toString' }, { id: 'mine' }]) {
      const revocations = [{ ...known, ...strange }] as never;
      await expect(
        backup.use((store) => makeSafe(store, { now: 1, restoredTo: 0, sessions: 'end', revocations })),
      ).rejects.toMatchObject({ code: 'refused' });
    }
  });
});

async function all<T>(rows: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

function jtiOf(jwt: string): string {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()).jti;
}
