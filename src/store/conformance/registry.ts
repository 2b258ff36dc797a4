/** What the store promises about who may ask: clients, resources, consents, registrations. */
import { describe, expect, it } from 'vitest';
import {
  clientRow,
  consentRow,
  DAY,
  HOUR,
  initialTokenRow,
  NOW,
  newId,
  resourceRow,
  secretRow,
} from './rows.ts';
import { tally, type World } from './world.ts';

export function describeRegistry(world: () => World): void {
  describe('clients', () => describeClients(world));
  describe('resources', () => describeResources(world));
  describe('consents', () => describeConsents(world));
  describe('registrations', () => describeRegistrations(world));
}

function describeClients(world: () => World): void {
  it('gives a client back as it was created, with its secret', async () => {
    const { store } = world();
    const client = clientRow({ jwks_json: '{"keys":[]}', access_token_lifetime: HOUR });
    const secret = secretRow(client.id);
    expect(await store.clients.create({ client, secret })).toEqual({ outcome: 'created' });
    expect(await store.clients.find({ id: client.id })).toEqual({ ...client, secrets: [secret] });
    expect(await store.clients.find({ id: newId('cli') })).toBeUndefined();
  });

  it('answers `taken` for a second client with the same id, and adds no secret to the first', async () => {
    const { store } = world();
    const first = await world().client();
    const twin = { ...first, name: 'Another' };
    const answer = await store.clients.create({ client: twin, secret: secretRow(first.id) });
    expect(answer).toEqual({ outcome: 'taken' });
    expect(await store.clients.find({ id: first.id })).toEqual({ ...first, secrets: [] });
  });

  it('creates no client without its secret', async () => {
    const { store } = world();
    const former = clientRow();
    const secret = secretRow(former.id);
    await store.clients.create({ client: former, secret });
    const client = clientRow();
    const create = store.clients.create({ client, secret: { ...secret, client_id: client.id } });
    await expect(create).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.clients.find({ id: client.id })).toBeUndefined();
  });

  it('lists in id order, a page at a time', async () => {
    const { store } = world();
    const prefix = newId('page');
    for (const n of [2, 3, 1]) await world().client({ id: `${prefix}_${n}` });
    const first = await store.clients.list({ after: prefix, limit: 2 });
    expect(first.map((client) => client.id)).toEqual([`${prefix}_1`, `${prefix}_2`]);
    const [next] = await store.clients.list({ after: `${prefix}_2`, limit: 2 });
    expect(next?.id).toBe(`${prefix}_3`);
  });

  it('updates the metadata, and nothing that says what the client may do at all', async () => {
    const { store } = world();
    const { id, status, source, registration_token_hash, created_at } = await world().client();
    const client = clientRow({
      ...{ id, name: 'Renamed', scope: 'other', updated_at: NOW + 1, created_at: 0 },
      ...{ status: 'disabled', source: 'dynamic', registration_token_hash: newId('hash') },
    });
    expect(await store.clients.update({ client })).toEqual({ outcome: 'updated' });
    const kept = { status, source, registration_token_hash, created_at };
    expect(await store.clients.find({ id })).toEqual({ ...client, ...kept, secrets: [] });
    expect(await store.clients.update({ client: clientRow() })).toEqual({ outcome: 'unknown' });
  });

  it('sets the status alone', async () => {
    const { store } = world();
    const client = await world().client();
    const setStatus = { id: client.id, status: 'disabled', now: NOW + 1 } as const;
    expect(await store.clients.setStatus(setStatus)).toEqual({ outcome: 'set' });
    const disabled = { ...client, status: 'disabled', updated_at: NOW + 1, secrets: [] };
    expect(await store.clients.find({ id: client.id })).toEqual(disabled);
    expect(await store.clients.setStatus({ ...setStatus, id: newId('cli') })).toEqual({ outcome: 'unknown' });
  });

  it('stays disabled whatever is updated at the same time', async () => {
    const { store } = world();
    for (let round = 0; round < 20; round++) {
      const client = await world().client();
      await Promise.all([
        store.clients.update({ client: { ...client, name: 'Before' } }),
        store.clients.setStatus({ id: client.id, status: 'disabled', now: NOW }),
        store.clients.update({ client: { ...client, name: 'After' } }),
      ]);
      expect((await store.clients.find({ id: client.id }))?.status).toBe('disabled');
    }
  });

  it('stops tokens while it is disabled, and only so long', async () => {
    const { store } = world();
    const granted = await world().granted();
    await store.clients.setStatus({ id: granted.client.id, status: 'disabled', now: NOW });
    expect(await world().isLive(granted.issuance)).toBe(false);
    expect(await world().rotate(granted)).toEqual({ outcome: 'revoked' });
    await store.clients.setStatus({ id: granted.client.id, status: 'active', now: NOW });
    expect(await world().isLive(granted.issuance)).toBe(true);
    expect(await world().rotate(granted)).toEqual({ outcome: 'rotated' });
  });

  it('ends former secrets when one is added, but prolongs none that ends sooner', async () => {
    const { store } = world();
    const client = await world().client();
    const unending = secretRow(client.id, { created_at: NOW - 3 });
    const ending = secretRow(client.id, { created_at: NOW - 2, expires_at: NOW + 1 });
    const newest = secretRow(client.id, { created_at: NOW });
    await store.clients.addSecret({ secret: unending, former_expire_at: NOW });
    await store.clients.addSecret({ secret: ending, former_expire_at: NOW + DAY });
    const answer = await store.clients.addSecret({ secret: newest, former_expire_at: NOW + HOUR });
    expect(answer).toEqual({ outcome: 'added' });
    const found = await store.clients.find({ id: client.id });
    expect(found?.secrets).toEqual([newest, ending, { ...unending, expires_at: NOW + HOUR }]);
    const stray = secretRow(newId('cli'));
    expect(await store.clients.addSecret({ secret: stray, former_expire_at: NOW })).toEqual({
      outcome: 'unknown',
    });
  });

  it('removes a client with its secrets, consents, codes and tokens', async () => {
    const { store } = world();
    const granted = await world().granted();
    const code = await world().code(granted);
    const { user, client } = granted;
    await store.consents.save({ consents: [consentRow(user.id, client.id)] });
    expect(await store.clients.remove({ id: client.id, now: NOW })).toEqual({ outcome: 'removed' });
    expect(await store.clients.remove({ id: client.id, now: NOW })).toEqual({ outcome: 'unknown' });
    expect(await store.clients.find({ id: client.id })).toBeUndefined();
    expect(await store.consents.find({ user_id: user.id, client_id: client.id })).toEqual([]);
    expect(await store.codes.find({ code_hash: code.code_hash })).toBeUndefined();
    expect(await store.refresh.find({ token_hash: granted.token.token_hash })).toBeUndefined();
    expect(await world().isLive(granted.issuance)).toBe(false);
  });
}

function describeResources(world: () => World): void {
  it('gives a resource back by its exact URI', async () => {
    const { store } = world();
    const resource = resourceRow({ access_token_lifetime: HOUR });
    expect(await store.resources.create({ resource })).toEqual({ outcome: 'created' });
    expect(await store.resources.findByUri({ uri: resource.uri })).toEqual(resource);
    expect(await store.resources.findByUri({ uri: `${resource.uri}/` })).toBeUndefined();
    expect(await store.resources.list({})).toContainEqual(resource);
  });

  it.each(['id', 'uri'] as const)('answers `taken` for a second resource with the same %s', async (field) => {
    const { store } = world();
    const first = resourceRow();
    await store.resources.create({ resource: first });
    const second = resourceRow({ [field]: first[field] });
    expect(await store.resources.create({ resource: second })).toEqual({ outcome: 'taken' });
  });

  it('updates everything but the URI, which tokens carry as their audience', async () => {
    const { store } = world();
    const former = resourceRow();
    await store.resources.create({ resource: former });
    const resource = { ...former, name: 'Renamed', scopes_json: '[]', updated_at: NOW + 1 };
    const update = { ...resource, uri: 'https://elsewhere.example.test' };
    expect(await store.resources.update({ resource: update })).toEqual({ outcome: 'updated' });
    expect(await store.resources.findByUri({ uri: former.uri })).toEqual(resource);
    expect(await store.resources.update({ resource: resourceRow() })).toEqual({ outcome: 'unknown' });
  });

  it('removes a resource once', async () => {
    const { store } = world();
    const resource = resourceRow();
    await store.resources.create({ resource });
    expect(await store.resources.remove({ id: resource.id, now: NOW })).toEqual({ outcome: 'removed' });
    expect(await store.resources.remove({ id: resource.id, now: NOW })).toEqual({ outcome: 'unknown' });
    expect(await store.resources.findByUri({ uri: resource.uri })).toBeUndefined();
  });
}

function describeConsents(world: () => World): void {
  it('keeps a scope for each resource and replaces it, but not the time of the first consent', async () => {
    const { store } = world();
    const { user, client } = await world().parties();
    const own = consentRow(user.id, client.id, { scope: 'openid email' });
    const api = consentRow(user.id, client.id, { resource: 'https://api.example.test', scope: 'read' });
    await store.consents.save({ consents: [own, api] });
    const later = { granted_at: NOW + 9, updated_at: NOW + 9 };
    await store.consents.save({ consents: [{ ...own, scope: 'openid', ...later }] });
    const found = await store.consents.find({ user_id: user.id, client_id: client.id });
    expect(found.toSorted((a, b) => a.resource.length - b.resource.length)).toEqual([
      { ...own, scope: 'openid', updated_at: NOW + 9 },
      api,
    ]);
  });

  it('saves all of several consents or none', async () => {
    const { store } = world();
    const { user, client } = await world().parties();
    const consents = [consentRow(user.id, client.id), consentRow(user.id, newId('cli'))];
    await expect(store.consents.save({ consents })).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.consents.find({ user_id: user.id, client_id: client.id })).toEqual([]);
  });

  it('lists what a user allowed', async () => {
    const { store } = world();
    const user = await world().user();
    const other = await world().user();
    const clients = [await world().client(), await world().client()];
    const consents = clients.map((client) => consentRow(user.id, client.id));
    const foreign = clients.map((client) => consentRow(other.id, client.id));
    await store.consents.save({ consents: [...consents, ...foreign] });
    const listed = await store.consents.listOfUser({ user_id: user.id });
    expect(listed).toHaveLength(2);
    expect(listed).toEqual(expect.arrayContaining(consents));
  });

  it('withdraws consent, families and unredeemed codes of this user with this client alone', async () => {
    const { store } = world();
    const granted = await world().granted('openid offline_access');
    const elsewhere = await world().granted('openid', { ...granted, client: await world().client() });
    const code = await world().code(granted);
    const withdraw = { user_id: granted.user.id, client_id: granted.client.id, now: NOW + 4 };
    await store.consents.save({ consents: [consentRow(withdraw.user_id, withdraw.client_id)] });
    expect(await store.consents.withdraw(withdraw)).toEqual({ outcome: 'withdrawn' });
    expect(await store.consents.withdraw(withdraw)).toEqual({ outcome: 'unknown' });
    expect(await store.consents.find(withdraw)).toEqual([]);
    expect(await store.codes.find({ code_hash: code.code_hash })).toBeUndefined();
    expect(await store.families.find({ id: granted.family.id })).toMatchObject({
      revoked_at: NOW + 4,
      revoked_reason: 'consent_withdrawn',
    });
    expect(await world().isLive(elsewhere.issuance)).toBe(true);
    expect(await store.sessions.find({ token_hash: granted.session.token_hash, now: NOW })).toBeDefined();
  });

  it('withdraws what a client got that asked for no consent', async () => {
    const { store } = world();
    const { user, client } = await world().granted();
    const answer = await store.consents.withdraw({ user_id: user.id, client_id: client.id, now: NOW });
    expect(answer).toEqual({ outcome: 'withdrawn' });
    expect(await world().hasLiveFamily(user)).toBe(false);
  });
}

function describeRegistrations(world: () => World): void {
  it('registers a client with its secret, with and without an initial access token', async () => {
    const { store } = world();
    const token = initialTokenRow();
    await store.registrations.saveInitialToken({ token });
    for (const initial_token_hash of [token.token_hash, null]) {
      const client = clientRow({ source: 'dynamic' });
      const secret = secretRow(client.id);
      const answer = await store.registrations.register({ client, secret, initial_token_hash, now: NOW });
      expect(answer).toEqual({ outcome: 'registered' });
      expect(await store.clients.find({ id: client.id })).toEqual({ ...client, secrets: [secret] });
    }
    expect(await store.registrations.findInitialToken({ token_hash: token.token_hash, now: NOW })).toEqual(
      token,
    );
  });

  it('registers exactly as many of 20 at once as the token has uses left', async () => {
    const { store } = world();
    const { token_hash, ...rest } = initialTokenRow({ uses_left: 3 });
    await store.registrations.saveInitialToken({ token: { token_hash, ...rest } });
    const clients = Array.from({ length: 20 }, () => clientRow());
    const answers = await Promise.all(
      clients.map((client) =>
        store.registrations.register({ client, secret: null, initial_token_hash: token_hash, now: NOW }),
      ),
    );
    expect(tally(answers)).toEqual({ registered: 3, token_spent: 17 });
    const found = await Promise.all(clients.map((client) => store.clients.find({ id: client.id })));
    expect(found.filter(Boolean)).toHaveLength(3);
    expect(await store.registrations.findInitialToken({ token_hash, now: NOW })).toBeUndefined();
  });

  it('takes a token until its end and not at it', async () => {
    const { store } = world();
    const token = initialTokenRow({ expires_at: NOW + 10 });
    await store.registrations.saveInitialToken({ token });
    const initial_token_hash = token.token_hash;
    const register = (now: number) =>
      store.registrations.register({ client: clientRow(), secret: null, initial_token_hash, now });
    expect(await register(NOW + 9)).toEqual({ outcome: 'registered' });
    expect(await register(NOW + 10)).toEqual({ outcome: 'token_spent' });
    const found = (now: number) =>
      store.registrations.findInitialToken({ token_hash: token.token_hash, now });
    expect(await found(NOW + 9)).toBeDefined();
    expect(await found(NOW + 10)).toBeUndefined();
  });

  it('spends no use of the token on a client that cannot be added', async () => {
    const { store } = world();
    const token = initialTokenRow({ uses_left: 1 });
    await store.registrations.saveInitialToken({ token });
    const client = await world().client();
    const register = { client, secret: null, initial_token_hash: token.token_hash, now: NOW };
    await expect(store.registrations.register(register)).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.registrations.findInitialToken({ token_hash: token.token_hash, now: NOW })).toEqual(
      token,
    );
  });
}
