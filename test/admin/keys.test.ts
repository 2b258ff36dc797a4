import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import { describeEngines } from '../setup/engines.ts';
import { type AdminFixture, startAdmin } from './fixture.ts';

describeEngines('the signing keys in the admin API', (engine) => {
  let admin: AdminFixture;
  const post = (path: string, body?: unknown) => admin.call('POST', `/admin/keys/${path}`, body);
  const keys = async () => (await admin.call('GET', '/admin/keys')).body;
  const last = async () => {
    const { actor, action, detail_json } = (await admin.store.audit.list({ after: 0, limit: 100 })).at(-1)!;
    return { actor, action, detail: JSON.parse(detail_json) };
  };
  beforeEach(async () => {
    admin = await startAdmin(engine, { configuredKey: 'a-key-of-this-test-only' });
  });
  afterEach(() => admin.close());

  test('tell what a rotation would do, and do nothing', async () => {
    const { signing } = await keys();
    const { status, body } = await admin.call('GET', '/admin/keys/rotation');
    expect(status).toBe(200);
    expect(body).toMatchObject({ signing, waiting: null });
    expect(body.signs_from).toBeGreaterThan(admin.clock.time + 300_000);
    expect(body.scheduled_at).toBe(admin.clock.time + 90 * 86_400_000);
    expect((await keys()).items).toHaveLength(1);
  });

  test('are dropped as compromised, with the access tokens that they signed', async () => {
    const { signing } = await keys();
    const [now, lifetime] = [admin.clock.time, 600_000];
    const row = { family_id: null, user_id: null, client_id: 'cli', revoked_at: null, issued_at: now };
    for (const jti of ['one', 'two']) {
      const issuance = { ...row, jti, kid: signing, expires_at: now + lifetime };
      await admin.store.issuances.record({ issuance });
    }
    const { status, body } = await post(`${signing}/compromised`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ former_state: 'active', revoked: 2, access_tokens_until: now + lifetime });
    expect(await last()).toEqual({
      actor: 'admin:operator',
      action: 'key.compromise_reported',
      detail: { kid: signing, former_state: 'active', successor: body.successor.kid, revoked: 2 },
    });
    expect((await keys()).signing).toBe(body.successor.kid);
    expect((await post('nobody/compromised')).status).toBe(404);
  });

  test('are withdrawn while they wait, and the one that signs is not', async () => {
    const { signing } = await keys();
    const { kid } = (await post('rotate')).body;
    expect((await post(`${kid}/retire`)).body).toEqual({ kid, former_state: 'pending' });
    expect(await last()).toMatchObject({ action: 'key.retirement_asked', detail: { kid } });
    const refused = await post(`${signing}/retire`);
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ code: 'refused', hint: expect.stringContaining('keys rotate') });
  });

  test('go out and come in on this machine, never over the network', async () => {
    const { signing } = await keys();
    const authorization = { authorization: 'Bearer a-key-of-this-test-only' };
    const pair = await makeKeyPair('ES256');
    for (const [path, body] of [
      [`${signing}/export`, undefined],
      ['import', { key: writePem(pair) }],
    ] as const) {
      const refused = await admin.callOverTcp('POST', `/admin/keys/${path}`, body, authorization);
      expect(refused.status).toBe(403);
    }
    const lost = { master_key_id: 'aes_0' };
    const abandoned = await admin.callOverTcp('POST', '/admin/keys/abandon', lost, authorization);
    expect(JSON.stringify(abandoned.body)).toContain('"code":"forbidden"');
    const exported = await post(`${signing}/export`);
    expect(exported.body).toMatchObject({ kid: signing, pem: expect.stringContaining('PRIVATE KEY') });
    expect(await last()).toMatchObject({ action: 'key.exported', detail: { kid: signing } });
    expect(JSON.stringify(await last())).not.toContain('PRIVATE');

    const imported = await post('import', { key: writePem(pair) });
    expect(imported.body).toMatchObject({ kid: pair.kid, state: 'pending', outcome: 'added' });
    expect(await last()).toMatchObject({ action: 'key.import_asked', detail: { kid: pair.kid } });
    expect((await post('import', { key: 'hello' })).status).toBe(400);
    expect((await post('import', { key: 1, other: 2 })).status).toBe(400);
  });

  test('are verified, and recovered only when they are lost', async () => {
    expect((await post('verify')).body).toMatchObject({
      ok: true,
      findings: [{ state: 'active', ok: true }],
    });
    const refused = await post('recover');
    expect(refused.status).toBe(409);
    expect(refused.body.code).toBe('refused');
  });
});
