import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256 } from '../../src/kernel/bytes.ts';
import { describeEngines } from '../setup/engines.ts';
import { type AdminFixture, startAdmin } from './fixture.ts';

describeEngines('the admin API', (engine) => {
  let admin: AdminFixture;
  beforeAll(async () => {
    admin = await startAdmin(engine);
  });
  afterAll(() => admin.close());

  const uri = 'https://api.example/v1';
  const byUri = `/admin/resources/${encodeURIComponent(uri)}`;

  test('keeps resources: created, found by id and URI, changed, deleted', async () => {
    const body = {
      uri,
      name: 'API',
      scopes: [{ name: 'read', description: 'Read things' }, { name: 'write' }],
    };
    const made = await admin.call('POST', '/admin/resources', body);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      created: true,
      uri,
      scopes: [
        { name: 'read', description: 'Read things' },
        { name: 'write', description: '' },
      ],
      access_token_lifetime: null,
    });
    expect((await admin.call('POST', '/admin/resources', body)).status).toBe(409);
    const kept = await admin.call('POST', '/admin/resources', { uri, if_absent: true });
    expect(kept.status).toBe(200);
    expect(kept.body).toMatchObject({ created: false, id: made.body.id, name: 'API' });

    expect((await admin.call('GET', byUri)).body.id).toBe(made.body.id);
    const changed = await admin.call('PATCH', `/admin/resources/${made.body.id}`, {
      access_token_lifetime: 120,
    });
    expect(changed.body).toMatchObject({ name: 'API', access_token_lifetime: 120 });
    expect((await admin.store.resources.findByUri({ uri }))?.access_token_lifetime).toBe(120_000);
    expect((await admin.call('PATCH', byUri, { uri: 'https://other.example' })).status).toBe(400);
    expect((await admin.call('GET', '/admin/resources')).body.items).toHaveLength(1);
    expect((await admin.call('DELETE', byUri)).status).toBe(204);
    expect((await admin.call('DELETE', byUri)).status).toBe(404);
    const actions = (await admin.events()).map(({ action }) => action);
    expect(actions).toEqual(['resource.created', 'resource.updated', 'resource.removed']);
  });

  test.each([
    [{}, 'uri is required'],
    [{ uri: 'api' }, 'uri must be an absolute URI'],
    [{ uri: 'https://a.example/#x' }, 'fragment'],
    [{ uri, scopes: [{ name: 'a b' }] }, 'scopes[0].name must be one scope token'],
    [{ uri, scopes: [{ name: 'a' }, { name: 'a' }] }, 'scopes must name each scope once'],
    [{ uri, access_token_lifetime: 1e9 }, 'access_token_lifetime must be at most 86400'],
    [{ uri, scope: [] }, 'scope is not known (did you mean scopes?)'],
  ])('refuses the resource %j', async (body, sentence) => {
    const { status, body: problem } = await admin.call('POST', '/admin/resources', body);
    expect(status).toBe(400);
    expect(problem.detail).toContain(sentence);
  });

  test('shows the signing keys and rotates them: one waits while the other signs', async () => {
    const before = await admin.call('GET', '/admin/keys');
    expect(before.body).toMatchObject({ problems: [], items: [{ state: 'active', algorithm: 'ES256' }] });
    expect(before.body.signing).toBe(before.body.items[0].kid);

    const rotated = await admin.call('POST', '/admin/keys/rotate');
    expect(rotated.body).toMatchObject({ started: true });
    expect(rotated.body.activates_at).toBeGreaterThanOrEqual(admin.clock.time + 300_000);
    const after = await admin.call('GET', '/admin/keys');
    expect(after.body.items.map(({ state }: { state: string }) => state)).toEqual(['active', 'pending']);
    expect(JSON.stringify(after.body)).not.toMatch(/PRIVATE|"d":/);
    expect((await admin.call('POST', '/admin/keys/rotate')).body).toMatchObject({
      started: false,
      kid: rotated.body.kid,
    });
  });

  test('makes initial access tokens, shown once and kept as hashes', async () => {
    const { status, body } = await admin.call('POST', '/admin/initial-access-tokens', {
      note: 'CI',
      uses: 3,
      scope: 'read write read',
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      note: 'CI',
      scope: 'read write',
      uses_left: 3,
      expires_at: admin.clock.time + 86_400_000,
    });
    const token_hash = sha256(body.initial_access_token);
    const stored = await admin.store.registrations.findInitialToken({ token_hash, now: admin.clock.time });
    expect(stored).toMatchObject({ id: body.id, scope: 'read write', uses_left: 3 });
    expect((await admin.events()).at(-1)?.action).toBe('initial_access_token.created');
    const plain = await admin.call('POST', '/admin/initial-access-tokens');
    expect(plain.body).toMatchObject({ uses_left: 1, scope: '' });
    expect((await admin.call('POST', '/admin/initial-access-tokens', { scope: 'a  b' })).status).toBe(400);
    expect((await admin.call('POST', '/admin/initial-access-tokens', { uses: 0 })).status).toBe(400);
  });

  test('tells how things stand', async () => {
    const { body } = await admin.call('GET', '/admin/status');
    expect(body).toMatchObject({
      version: '0.0.0',
      issuer: 'https://auth.example',
      storage: engine.name,
      restore_epoch: 0,
      keys: { problems: [] },
      audit_events_lost: 0,
    });
    expect(body.deployment).toBe((await admin.store.deployment.get({})).id);
  });

  test('shows the audit trail in order, page by page, without a secret', async () => {
    const { body: made } = await admin.call('POST', '/admin/clients', {
      kind: 'service',
      client_id: 'audited',
    });
    const seen: { sequence: number; action: string }[] = [];
    let after = 0;
    for (;;) {
      const { body } = await admin.call('GET', `/admin/audit?limit=2&after=${after}`);
      seen.push(...body.items);
      if (body.next === null) break;
      after = body.next;
    }
    expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, index) => index + 1));
    const whole = await admin.call('GET', `/admin/audit?limit=${seen.length}`);
    expect(whole.body, 'a full last page is the last').toMatchObject({ items: seen, next: null });
    expect(seen.at(-1)).toMatchObject({
      action: 'client.created',
      client_id: 'audited',
      detail: { kind: 'service' },
    });
    expect(JSON.stringify(seen)).not.toContain(made.client_secret);
    expect((await admin.call('GET', '/admin/audit?after=x')).status).toBe(400);
  });

  test('answers 405 to another method and 404 to another path', async () => {
    expect((await admin.call('DELETE', '/admin/status')).status).toBe(405);
    expect((await admin.call('GET', '/admin/nothing')).status).toBe(404);
  });
});
