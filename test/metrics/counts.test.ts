// What is counted, told by what a person or a client does.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keySource } from '../../src/app/metrics/keys.ts';
import { prometheusText } from '../../src/app/metrics/prometheus.ts';
import { Registry } from '../../src/app/metrics/registry.ts';
import { makePurge } from '../../src/app/purge.ts';
import { AuditTrail } from '../../src/audit/trail.ts';
import { silentLog } from '../../src/kernel/log.ts';
import type { KeyStatus } from '../../src/keys/keyring.ts';
import { purgeTargets } from '../../src/ops/purge-targets.ts';
import { PASSWORD, Product } from '../oauth/product.ts';
import { describeEngines } from '../setup/engines.ts';
import { parseScrape, total } from './scrape.ts';

type Labels = Readonly<Record<string, string>>;

async function numberOf(product: Product, name: string, labels: Labels = {}): Promise<number> {
  const scrape = parseScrape(prometheusText(await product.rooms.metrics.read()));
  return total(scrape, name, labels) ?? 0;
}

/** How much some metrics grow while something is done. */
async function growth(
  product: Product,
  asked: Readonly<Record<string, readonly [name: string, labels?: Labels]>>,
  deed: () => Promise<unknown>,
): Promise<Record<string, number>> {
  const read = async () => {
    const values = new Map<string, number>();
    for (const [key, [name, labels]] of Object.entries(asked))
      values.set(key, await numberOf(product, name, labels));
    return values;
  };
  const before = await read();
  await deed();
  const after = await read();
  return Object.fromEntries([...after].map(([key, value]) => [key, value - (before.get(key) ?? 0)]));
}

const issued = (grant_type: string, kind: string) =>
  ['authserver_tokens_issued_total', { grant_type, kind }] as const;
const oauthError = (route: string, error: string) =>
  ['authserver_oauth_errors_total', { route, error }] as const;
const signIns = (outcome: string) => ['authserver_sign_ins_total', { outcome }] as const;
const requests = (labels: Labels) => ['authserver_http_requests_total', labels] as const;

describeEngines('what is counted', (engine) => {
  let product: Product;
  beforeAll(async () => {
    product = await Product.open(engine, { AUTHSERVER_RATE_LIMIT_AUTH_FAIL_MAX: '2' });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  test('a sign-in, a consent and the tokens of a code', async () => {
    const client = await product.client();
    expect(
      await growth(
        product,
        {
          access: issued('authorization_code', 'access_token'),
          refresh: issued('authorization_code', 'refresh_token'),
          id: issued('authorization_code', 'id_token'),
          signedIn: signIns('signed_in'),
          sessions: ['authserver_sessions_started_total'],
          granted: ['authserver_consent_decisions_total', { decision: 'granted' }],
          audited: ['authserver_audit_events_total', { action: 'user.signed_in' }],
          posts: requests({ listener: 'public', route: '/oauth/token', method: 'POST', status: '2xx' }),
          timed: ['authserver_http_request_duration_seconds_count', { route: '/oauth/token' }],
        },
        () => product.grant(client),
      ),
    ).toEqual({
      ...{
        access: 1,
        refresh: 1,
        id: 1,
        signedIn: 1,
        sessions: 1,
        granted: 1,
        audited: 1,
        posts: 1,
        timed: 1,
      },
    });
  });

  test('a refresh, and a refresh token that comes back', async () => {
    const client = await product.client();
    const { tokens } = await product.grant(client);
    const reuse = ['authserver_refresh_token_reuse_total'] as const;
    const asked = {
      refresh: issued('refresh_token', 'refresh_token'),
      reuse,
      refused: oauthError('/oauth/token', 'invalid_grant'),
    };
    expect(await growth(product, asked, () => product.refresh(client, tokens.refresh_token))).toEqual({
      ...{ refresh: 1, reuse: 0, refused: 0 },
    });
    product.clock.advance(60);
    expect(await growth(product, asked, () => product.refresh(client, tokens.refresh_token))).toEqual({
      ...{ refresh: 0, reuse: 1, refused: 1 },
    });
  });

  test('a code that comes back', async () => {
    const client = await product.client();
    const { code, verifier } = await product.grant(client);
    const asked = { replays: ['authserver_authorization_code_replays_total'] } as const;
    expect(await growth(product, asked, () => product.redeem(client, { code, verifier }))).toEqual({
      replays: 1,
    });
  });

  test('a token of a program', async () => {
    const service = await product.service();
    const asked = { access: issued('client_credentials', 'access_token') };
    const deed = () => product.token(service, { grant_type: 'client_credentials' });
    expect(await growth(product, asked, deed)).toEqual({ access: 1 });
  });

  test('wrong passwords, and the lock that they end in', async () => {
    const { username } = await product.user();
    const browser = product.browser();
    const attempt = async (password: string) =>
      browser.submit(await browser.get('/signin'), { username, password });
    const asked = {
      refused: signIns('refused'),
      locked: signIns('locked'),
      sessions: ['authserver_sessions_started_total'],
    } as const;
    expect(
      await growth(product, asked, async () => {
        await attempt('wrong');
        await attempt('wrong');
        await attempt(PASSWORD);
      }),
    ).toEqual({ refused: 1, locked: 2, sessions: 0 });
  });

  test('errors that go back to the client by redirect', async () => {
    const client = await product.client();
    const browser = await product.signedIn((await product.user()).username);
    const asked = { errors: oauthError('/oauth/authorize', 'invalid_scope') };
    expect(await growth(product, asked, () => browser.ask(client, { scope: 'nonsense' }))).toEqual({
      errors: 1,
    });
  });

  test('a denied consent', async () => {
    const client = await product.client();
    const browser = await product.signedIn((await product.user()).username);
    const { answer } = await browser.ask(client);
    const page = await browser.follow(answer);
    const asked = { denied: ['authserver_consent_decisions_total', { decision: 'denied' }] } as const;
    const deed = async () => browser.follow(await browser.submit(page, { decision: 'deny' }));
    expect(await growth(product, asked, deed)).toEqual({ denied: 1 });
  });

  test('requests that reach nothing, under one name; and no name that a caller chose', async () => {
    const asked = {
      lost: requests({ route: 'unmatched', status: '4xx' }),
      wrongMethod: requests({ route: '/oauth/token', method: 'DELETE', status: '4xx' }),
    };
    const deed = async () => {
      await product.get('/alice@example.com/secret-of-a-client');
      await product.call('DELETE', '/oauth/token');
      await product.get('/oauth/register/some-client-id');
    };
    expect(await growth(product, asked, deed)).toEqual({ lost: 1, wrongMethod: 1 });

    const text = prometheusText(await product.rooms.metrics.read());
    for (const chosen of [
      'alice@example',
      'secret-of-a-client',
      'some-client-id',
      'cli_',
      'usr_',
      '127.0.0.1',
    ])
      expect(text).not.toContain(chosen);
    expect(text).toContain('route="/oauth/register/:client_id"');
  });
});

describe('the signing keys', () => {
  test('are told by state, with the time to the next change of each', async () => {
    const registry = new Registry(() => 0);
    const clock = { time: 1_000_000_000, now: () => clock.time };
    const key = (kid: string, state: KeyStatus['state'], times: Partial<KeyStatus>) =>
      ({
        kid,
        state,
        algorithm: 'ES256',
        key_store: 'keyfile',
        created_at: clock.time - 5000,
        ...times,
      }) as KeyStatus;
    const keys = [
      key('a', 'active', { activated_at: clock.time }),
      key('p', 'pending', { activates_at: clock.time + 60_000 }),
      key('r', 'retiring', { retires_at: clock.time - 30_000 }),
      key('old', 'retired', {}),
      key('bad', 'compromised', {}),
    ];
    const source = keySource(
      registry,
      {
        state: () => ({ signing: 'a', problems: [], keys }),
        timing: { jwksMaxAge: 0, longestLifetime: 0, idTokenLifetime: 0, clockSkew: 0, rotationInterval: 0 },
      },
      clock,
    );
    await source.ask();
    const seen = parseScrape(prometheusText(registry.read()));
    const states = ['pending', 'active', 'retiring', 'retired', 'compromised'];
    for (const state of states) expect(total(seen, 'authserver_signing_keys', { state })).toBe(1);
    // Keys that verify nothing any more add up over the years; they have no series of their own.
    const info = seen.samples.filter(({ name }) => name === 'authserver_signing_key_info');
    expect(info.map(({ labels }) => labels['kid'])).toEqual(['a', 'p', 'r']);
    expect(total(seen, 'authserver_signing_key_age_seconds', { kid: 'a', state: 'active' })).toBe(5);
    expect(total(seen, 'authserver_signing_key_activation_seconds', { kid: 'p' })).toBe(60);
    expect(total(seen, 'authserver_signing_key_retirement_seconds', { kid: 'r' })).toBe(-30);
    expect(total(seen, 'authserver_signing_key_activation_seconds', { kid: 'a' })).toBeUndefined();
  });
});

describe('trouble', () => {
  test('requests of a source that comes too often', async () => {
    await using product = await Product.open(
      { name: 'sqlite' },
      { AUTHSERVER_RATE_LIMIT_BURST: '3', AUTHSERVER_RATE_LIMIT_REQUESTS_PER_SECOND: '1' },
    );
    for (let time = 0; time < 5; time++) await product.get('/.well-known/jwks.json');
    expect(await numberOf(product, 'authserver_http_rate_limited_total')).toBe(2);
    expect(await numberOf(product, 'authserver_http_requests_total', { status: '4xx' })).toBe(2);
  });

  test('tokens that cannot be signed', async () => {
    await using product = await Product.open({ name: 'sqlite' });
    const service = await product.service();
    product.rooms.keyring.close();
    expect((await product.token(service, { grant_type: 'client_credentials' })).status).toBe(503);
    expect(await numberOf(product, 'authserver_signing_failures_total')).toBe(1);
    expect(await numberOf(product, 'authserver_http_requests_total', { status: '5xx' })).toBe(1);
  });

  test('a purge that fails at a target, and goes on with the others', async () => {
    await using product = await Product.open({ name: 'sqlite' });
    const { rooms } = product;
    const fails = async () => {
      throw new Error('the disk is full');
    };
    const store = { ...rooms.store, purge: { ...rooms.store.purge, refresh_tokens: fails } };
    const { outcome } = await makePurge({ ...rooms, store }).run(
      { only: null, timeout: 0, dry_run: false },
      { progress: () => undefined, signal: new AbortController().signal },
      { actor: 'system', ip: null },
    );
    expect(outcome).toBe('failed');
    const failures = 'authserver_purge_failures_total';
    expect(await numberOf(product, failures, { target: 'refresh-tokens' })).toBe(1);
    expect(await numberOf(product, failures)).toBe(1);
    const done = await numberOf(product, 'authserver_purge_duration_seconds_count');
    expect(done).toBe(purgeTargets.length - 1);
  });

  test('audit events that are lost', async () => {
    const meter = new Registry(() => 0);
    const fails = async () => {
      throw new Error('the disk is full');
    };
    const trail = new AuditTrail({
      store: { append: fails } as unknown as ConstructorParameters<typeof AuditTrail>[0]['store'],
      clock: { now: () => 0 },
      log: silentLog,
      meter,
    });
    await trail.record({ action: 'user.created', actor: 'admin:operator' });
    const scrape = parseScrape(prometheusText(meter.read()));
    expect(total(scrape, 'authserver_audit_events_lost_total')).toBe(1);
    expect(total(scrape, 'authserver_audit_events_total', { action: 'user.created' })).toBe(1);
  });
});
