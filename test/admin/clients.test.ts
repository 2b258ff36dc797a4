import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256 } from '../../src/kernel/bytes.ts';
import { describeEngines } from '../setup/engines.ts';
import { type AdminFixture, startAdmin } from './fixture.ts';

const redirect_uris = ['https://app.example/cb'];

describeEngines('the admin API makes clients', (engine) => {
  let admin: AdminFixture;
  beforeAll(async () => {
    admin = await startAdmin(engine);
  });
  afterAll(() => admin.close());

  test('a web client gets an id and a secret that is shown once and kept as a hash', async () => {
    const made = await admin.call('POST', '/admin/clients', { client_name: 'Shop', redirect_uris });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      created: true,
      client_name: 'Shop',
      application_type: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      status: 'active',
      source: 'admin',
    });
    expect(made.body.client_id).toMatch(/^cli_/);
    expect(made.body.client_secret).toMatch(/^[A-Za-z0-9_-]{43}$/);

    const shown = await admin.call('GET', `/admin/clients/${made.body.client_id}`);
    expect(shown.status).toBe(200);
    expect(JSON.stringify(shown.body)).not.toContain(made.body.client_secret);
    const stored = await admin.store.clients.find({ id: made.body.client_id });
    expect(stored?.secrets[0]?.secret_hash).toBe(sha256(made.body.client_secret));
  });

  test.each([
    ['web', { redirect_uris }, 'web', 'client_secret_basic', ['authorization_code', 'refresh_token']],
    [
      'confidential',
      { redirect_uris },
      'web',
      'client_secret_basic',
      ['authorization_code', 'refresh_token'],
    ],
    [
      'native',
      { redirect_uris: ['http://127.0.0.1/cb'] },
      'native',
      'none',
      ['authorization_code', 'refresh_token'],
    ],
    [
      'public',
      { redirect_uris: ['com.example.app:/cb'] },
      'native',
      'none',
      ['authorization_code', 'refresh_token'],
    ],
    ['service', { scope: 'read write' }, 'service', 'client_secret_basic', ['client_credentials']],
  ])('kind %s stands for what it says', async (kind, rest, type, method, grants) => {
    const { status, body } = await admin.call('POST', '/admin/clients', { kind, ...rest });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      application_type: type,
      token_endpoint_auth_method: method,
      grant_types: grants,
    });
    expect(typeof body.client_secret).toBe(method === 'none' ? 'undefined' : 'string');
    expect(body.client_name).toBe(body.client_id);
  });

  test('ids and secrets may be given; a given secret is not sent back', async () => {
    const secret = 'a-secret-of-at-least-32-characters!';
    const body = { kind: 'service', client_id: 'billing', client_secret: secret };
    const made = await admin.call('POST', '/admin/clients', body);
    expect(made.status).toBe(201);
    expect(made.body.client_secret).toBeUndefined();
    const stored = await admin.store.clients.find({ id: 'billing' });
    expect(stored?.secrets[0]?.secret_hash).toBe(sha256(secret));

    const again = await admin.call('POST', '/admin/clients', body);
    expect(again.status).toBe(409);
    expect(again.body).toMatchObject({ code: 'conflict', hint: expect.stringContaining('if_absent') });

    const absent = await admin.call('POST', '/admin/clients', {
      ...body,
      client_name: 'Other',
      if_absent: true,
    });
    expect(absent.status).toBe(200);
    expect(absent.body).toMatchObject({ created: false, client_id: 'billing', client_name: 'billing' });
    expect(absent.body.client_secret).toBeUndefined();
  });

  test('20 at once with if_absent make one client and all answer with it', async () => {
    const body = { client_id: 'raced', redirect_uris, if_absent: true };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => admin.call('POST', '/admin/clients', body)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201]);
    expect(answers.filter((answer) => answer.body.client_secret)).toHaveLength(1);
  });

  test.each([
    [
      'a short secret',
      { kind: 'service', client_secret: 'short' },
      'client_secret must have at least 32 characters',
    ],
    [
      'a secret for a public client',
      { kind: 'native', redirect_uris: ['http://127.0.0.1/'], client_secret: 'x'.repeat(32) },
      'has no secret',
    ],
    ['an id that is no id', { client_id: 'a b', redirect_uris }, 'client_id must be letters'],
    ['an unknown kind', { kind: 'robot', redirect_uris }, 'kind must be one of web'],
    [
      'an unknown member',
      { redirect_uri: 'https://app.example/cb', redirect_uris },
      'did you mean redirect_uris?',
    ],
    ['a bad redirect URI', { redirect_uris: ['http://app.example/cb'] }, 'redirect_uris[0] must be https'],
    ['if_absent without an id', { redirect_uris, if_absent: true }, 'if_absent needs a client_id'],
    ['no object', ['x'], 'must be an object'],
    ['nothing', undefined, 'is required'],
  ])('%s is refused with a problem document', async (_, body, sentence) => {
    const { status, headers, body: problem } = await admin.call('POST', '/admin/clients', body);
    expect(status).toBe(400);
    expect(headers['content-type']).toContain('application/problem+json');
    expect(problem.code).toBe('invalid_input');
    expect(problem.detail).toContain(sentence);
  });

  test('a change checks the whole again; null goes back to the default', async () => {
    const made = await admin.call('POST', '/admin/clients', {
      client_id: 'changing',
      redirect_uris,
      client_name: 'Before',
      scope: 'openid',
      skip_consent: true,
      access_token_lifetime: 60,
    });
    expect(made.body).toMatchObject({ skip_consent: true, access_token_lifetime: 60 });
    admin.clock.time += 1000;
    const changed = await admin.call('PATCH', '/admin/clients/changing', {
      client_name: 'After',
      access_token_lifetime: null,
      require_pkce: false,
    });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({
      client_name: 'After',
      scope: 'openid',
      require_pkce: false,
      skip_consent: true,
    });
    expect(changed.body.access_token_lifetime).toBeUndefined();
    expect(changed.body.updated_at).toBe(admin.clock.time);

    const refused = await admin.call('PATCH', '/admin/clients/changing', {
      token_endpoint_auth_method: 'none',
    });
    expect(refused.status).toBe(400);
    expect(refused.body.detail).toContain('require_pkce');
    expect((await admin.call('PATCH', '/admin/clients/changing', { client_id: 'x' })).status).toBe(400);
    expect((await admin.call('PATCH', '/admin/clients/nobody', {})).status).toBe(404);
  });

  test('a public client that becomes confidential is given a secret', async () => {
    await admin.call('POST', '/admin/clients', { client_id: 'grown', kind: 'native', redirect_uris });
    const changed = await admin.call('PATCH', '/admin/clients/grown', {
      token_endpoint_auth_method: 'client_secret_post',
    });
    const stored = await admin.store.clients.find({ id: 'grown' });
    expect(stored?.secrets.map((secret) => secret.secret_hash)).toEqual([sha256(changed.body.client_secret)]);
  });

  test('grants may change without naming response types', async () => {
    await admin.call('POST', '/admin/clients', { client_id: 'regranted', redirect_uris });
    const changed = await admin.call('PATCH', '/admin/clients/regranted', {
      grant_types: ['client_credentials'],
    });
    expect(changed.body).toMatchObject({ grant_types: ['client_credentials'], response_types: [] });
  });

  test('rotating the secret lets the former one live on for a day, or as long as is said', async () => {
    await admin.call('POST', '/admin/clients', { client_id: 'rotating', kind: 'service' });
    const first = await admin.call('POST', '/admin/clients/rotating/secrets');
    expect(first.status).toBe(201);
    expect(first.body.client_secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(first.body.secrets).toHaveLength(2);
    const ends = first.body.secrets.map((secret: { expires_at: number | null }) => secret.expires_at);
    expect(ends).toEqual(expect.arrayContaining([null, admin.clock.time + 86_400_000]));

    const now = await admin.call('POST', '/admin/clients/rotating/secrets', { overlap: 0 });
    const live = now.body.secrets.filter(
      (secret: { expires_at: number | null }) =>
        secret.expires_at === null || secret.expires_at > admin.clock.time,
    );
    expect(live).toHaveLength(1);

    await admin.call('POST', '/admin/clients', { client_id: 'secretless', kind: 'native', redirect_uris });
    expect((await admin.call('POST', '/admin/clients/secretless/secrets', {})).status).toBe(400);
  });

  test('a client can be disabled, enabled and deleted', async () => {
    await admin.call('POST', '/admin/clients', { client_id: 'leaving', redirect_uris });
    expect((await admin.call('POST', '/admin/clients/leaving/disable')).body.status).toBe('disabled');
    expect((await admin.call('POST', '/admin/clients/leaving/enable')).body.status).toBe('active');
    expect((await admin.call('DELETE', '/admin/clients/leaving')).status).toBe(204);
    expect((await admin.call('DELETE', '/admin/clients/leaving')).status).toBe(404);
    expect((await admin.call('GET', '/admin/clients/leaving')).status).toBe(404);
    const actions = (await admin.events()).filter(({ client_id }) => client_id === 'leaving');
    expect(actions.map(({ action }) => action)).toEqual([
      'client.created',
      'client.disabled',
      'client.enabled',
      'client.removed',
    ]);
    expect(new Set(actions.map(({ actor }) => actor))).toEqual(new Set(['admin:operator']));
  });

  test('lists come page by page, each entry once', async () => {
    const ids = Array.from({ length: 7 }, (_, index) => `page-${index}`);
    for (const client_id of ids) await admin.call('POST', '/admin/clients', { client_id, redirect_uris });
    const seen: string[] = [];
    let after = '';
    for (;;) {
      const { body } = await admin.call('GET', `/admin/clients?limit=3&after=${encodeURIComponent(after)}`);
      expect(body.items.length).toBeLessThanOrEqual(3);
      seen.push(...body.items.map((client: { client_id: string }) => client.client_id));
      if (body.next === null) break;
      after = body.next;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(ids));
    expect((await admin.call('GET', '/admin/clients?limit=0')).status).toBe(400);
  });
});
