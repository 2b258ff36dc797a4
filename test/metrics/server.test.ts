// The metrics of a real server, scraped and pushed.

import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metricTable } from '../../src/app/metrics/table.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { startServer, type TestServer } from '../setup/server.ts';
import { type Collector, startCollector } from './collector.ts';
import { allExpressions } from './deployed.ts';
import { readExpression } from './promql.ts';
import { parseScrape, type Sample, type Scrape, total } from './scrape.ts';

const SECRET = 'a-client-secret-of-more-than-32-characters';

async function scrape(server: TestServer): Promise<Scrape> {
  const answer = await fetch(`${server.adminUrl}/metrics`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parseScrape(await answer.text());
}

async function askForToken(server: TestServer, secret: string): Promise<number> {
  const authorization = `Basic ${Buffer.from(`robot:${secret}`).toString('base64')}`;
  const body = new URLSearchParams({ grant_type: 'client_credentials' });
  const answer = await fetch(`${server.url}/oauth/token`, {
    method: 'POST',
    headers: { authorization },
    body,
  });
  return answer.status;
}

async function makeInitialAccessToken(server: TestServer): Promise<number> {
  const answer = await fetch(`${server.adminUrl}/admin/initial-access-tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.adminApiKey}`, 'content-type': 'application/json' },
    body: '{}',
  });
  return answer.status;
}

/** What tells one sample from all others. */
const identity = ({ name, labels }: Sample) => JSON.stringify([name, Object.entries(labels).sort()]);

describeEngines('the metrics of a server', (engine) => {
  let storage: FreshStorage;
  let collector: Collector;
  let server: TestServer;
  /** Before a key was waiting. */
  let early: Scrape;

  beforeAll(async () => {
    storage = await freshStorage(engine);
    collector = await startCollector();
    server = await startServer({
      storage,
      env: {
        AUTHSERVER_OBSERVABILITY_METRICS_PROVIDER: 'both',
        AUTHSERVER_OBSERVABILITY_METRICS_OTLP_INTERVAL: '1s',
        AUTHSERVER_OBSERVABILITY_METRICS_OTLP_TIMEOUT: '1s',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
        OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20of%20the%20test',
        AUTHSERVER_RECOVERY_LOG: 'true',
      },
    });
    const created = await server.cli(
      ['admin', 'client', 'create', '--id', 'robot', '--kind', 'service', '--secret-stdin', '--json'],
      SECRET,
    );
    expect(created.stderr).toBe('');
    expect(await askForToken(server, SECRET)).toBe(200);
    expect(await askForToken(server, SECRET)).toBe(200);
    expect(await askForToken(server, 'wrong')).toBe(401);
    // Only over TCP is it surely this process that keeps the audit event.
    expect(await makeInitialAccessToken(server)).toBe(201);
    early = await scrape(server);
    // A key that waits has metrics of its own, and there is no date for the next rotation.
    expect((await server.cli(['keys', 'rotate', '--json'])).code).toBe(0);
  });
  afterAll(async () => {
    await server.dispose();
    await storage.dispose();
    await collector[Symbol.asyncDispose]();
  });

  test('are what the server has done', async () => {
    const seen = await scrape(server);
    const issued = { grant_type: 'client_credentials', kind: 'access_token' };
    expect(total(seen, 'authserver_tokens_issued_total', issued)).toBe(2);
    const refused = { route: '/oauth/token', error: 'invalid_client' };
    expect(total(seen, 'authserver_oauth_errors_total', refused)).toBe(1);
    const token = { listener: 'public', route: '/oauth/token', method: 'POST' };
    expect(total(seen, 'authserver_http_requests_total', { ...token, status: '2xx' })).toBe(2);
    expect(total(seen, 'authserver_http_requests_total', { ...token, status: '4xx' })).toBe(1);
    expect(total(seen, 'authserver_http_request_duration_seconds_count', token)).toBe(3);
    expect(total(seen, 'authserver_audit_events_total', { action: 'initial_access_token.created' })).toBe(1);
    expect(total(seen, 'authserver_signing_ready')).toBe(1);
    expect(total(seen, 'authserver_signing_keys', { state: 'active' })).toBe(1);
    expect(total(seen, 'authserver_signing_keys', { state: 'pending' })).toBe(1);
    expect(total(seen, 'authserver_signing_key_activation_seconds')).toBeGreaterThan(60);
    expect(total(early, 'authserver_signing_key_rotation_due_seconds')).toBeGreaterThan(80 * 86_400);
    expect(total(seen, 'authserver_signing_key_rotation_due_seconds')).toBeUndefined();
    expect(total(seen, 'authserver_purge_backlog_seconds')).toBe(0);
    expect(total(seen, 'authserver_purge_last_run_age_seconds')).toBeLessThan(60);
    expect(total(seen, 'authserver_schema_pending_steps')).toBe(0);
    expect(total(seen, 'authserver_schema_version')).toBeGreaterThanOrEqual(2);
    expect(total(seen, 'authserver_database_up')).toBe(1);
    expect(seen.samples.filter(({ name }) => name === 'authserver_metrics_source_up')).not.toEqual([]);
    expect(total(seen, 'authserver_metrics_source_up')).toBe(
      seen.samples.filter(({ name }) => name === 'authserver_metrics_source_up').length,
    );
    expect(total(seen, 'authserver_process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
  });

  test('show how writes wait, by the engine', async () => {
    const seen = await scrape(server);
    if (engine.name === 'sqlite') {
      const writes = total(seen, 'authserver_sqlite_batch_size_sum') ?? 0;
      expect(writes).toBeGreaterThan(3);
      expect(total(seen, 'authserver_sqlite_commit_seconds_count')).toBeGreaterThan(0);
      expect(total(seen, 'authserver_sqlite_write_wait_seconds_count')).toBeGreaterThan(0);
      expect(total(seen, 'authserver_sqlite_wal_bytes')).toBeGreaterThan(0);
      expect(total(seen, 'authserver_sqlite_database_bytes')).toBeGreaterThan(0);
    } else {
      expect(total(seen, 'authserver_postgres_pool_wait_seconds_count')).toBeGreaterThan(3);
      expect(total(seen, 'authserver_postgres_pool_connections')).toBeGreaterThan(0);
      expect(total(seen, 'authserver_postgres_pool_max_connections')).toBe(10);
    }
  });

  test('have every name and label that the alerts and the dashboard ask for', async () => {
    const samples = [...early.samples, ...(await scrape(server)).samples];
    // Rows of a key that retires take a rotation; test/metrics/counts.test.ts has one on a clock that it moves.
    const elsewhere = 'authserver_signing_key_retirement_seconds';
    const missing = (await allExpressions()).flatMap(({ where, expr }) =>
      readExpression(expr)
        .selectors.filter(({ metric }) => metric !== elsewhere)
        .filter(({ metric }) => {
          const of = metricTable[metric.replace(/_(bucket|sum|count)$/, '')]?.engine;
          return of === undefined || of === engine.name;
        })
        .filter(
          ({ metric, matchers }) =>
            !samples.some(
              ({ name, labels }) =>
                name === metric &&
                matchers.every(({ label }) => label in labels || label === 'instance' || label === 'job'),
            ),
        )
        .map(({ metric }) => `${where}: ${metric}`),
    );
    expect(missing).toEqual([]);
  });

  test('have no name that the table lacks, and each type is the one of the table', async () => {
    const { types } = await scrape(server);
    for (const [name, type] of types) expect(metricTable[name]?.type, name).toBe(type);
  });

  test('name no client and no secret', async () => {
    const answer = await fetch(`${server.adminUrl}/metrics`);
    const told = await answer.text();
    for (const private_ of ['robot', SECRET, server.adminApiKey, '127.0.0.1'])
      expect(told).not.toContain(private_);
  });

  test('are not on the public listener', async () => {
    expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
  });

  test('are pushed again and again, with the same numbers', async () => {
    const seen = await scrape(server);
    const before = collector.pushes.length;
    await collector.received(before + 2);
    const push = collector.pushes.at(-1)!;
    expect(push.path).toBe('/v1/metrics');
    expect(push.headers['content-type']).toBe('application/x-protobuf');
    expect(push.headers['authorization']).toBe('Bearer of the test');
    expect(push.resource).toMatchObject({ 'service.name': 'authserver' });
    expect(push.resource['service.instance.id']).toMatch(/:\d+$/);

    const pushed = new Map(push.metrics.flatMap(({ samples }) => samples).map((one) => [identity(one), one]));
    // What only changes when the server is asked something that this test does not ask.
    const still = seen.samples.filter(
      ({ name, labels }) =>
        (seen.types.get(name.replace(/_(bucket|sum|count)$/, '')) ?? seen.types.get(name)) !== 'gauge' &&
        labels['listener'] !== 'admin' &&
        !/_(sqlite|postgres|process|event_loop|recovery_log)_/.test(name),
    );
    expect(still.length).toBeGreaterThan(80);
    for (const one of still) expect(pushed.get(identity(one)), identity(one)).toEqual(one);

    const kinds = { counter: 'sum', gauge: 'gauge', histogram: 'histogram' } as const;
    const units = { seconds: 's', bytes: 'By', none: '1' } as const;
    for (const { name, kind, unit } of push.metrics) {
      const { type, unit: base } = metricTable[name]!;
      expect({ name, kind, unit }).toEqual({ name, kind: kinds[type], unit: units[base] });
    }
    expect(push.metrics.map(({ name }) => name)).toEqual([...seen.types.keys()]);
  });

  test('are pushed a last time when the server stops', async () => {
    expect(await askForToken(server, SECRET)).toBe(200);
    expect(await server.stop()).toBe(0);
    const { metrics } = collector.pushes.at(-1)!;
    const samples = metrics.flatMap((metric) => metric.samples);
    const types = new Map<string, string>();
    const issued = { grant_type: 'client_credentials', kind: 'access_token' };
    expect(total({ samples, types }, 'authserver_tokens_issued_total', issued)).toBe(3);
    // A server that goes is none that cannot sign.
    expect(total({ samples, types }, 'authserver_signing_ready')).toBe(1);
  });
});

describe('who may scrape', () => {
  const TOKEN = 'nB7-w2Qx_metrics_L0vz';

  async function serverWith(env: Readonly<Record<string, string>>) {
    const storage = await freshStorage({ name: 'sqlite' });
    return startServer({ storage, env });
  }

  function status(server: TestServer, authorization?: string): Promise<number> {
    return fetch(`${server.adminUrl}/metrics`, { headers: authorization ? { authorization } : {} }).then(
      (answer) => answer.status,
    );
  }

  test('whoever has the token, where one is set; the key of the admin API is none', async () => {
    await using server = await serverWith({ AUTHSERVER_OBSERVABILITY_METRICS_TOKEN: TOKEN });
    expect(await status(server)).toBe(401);
    expect(await status(server, `Bearer ${server.adminApiKey}`)).toBe(401);
    expect(await status(server, `Bearer ${TOKEN}`)).toBe(200);
    expect(await throughSocket(server)).toContain('authserver_build_info{');
    expect((await server.cli(['config', 'print'])).stdout).not.toContain(TOKEN);
  });

  test('nobody, where metrics are pushed only or not told at all', async () => {
    await using server = await serverWith({ AUTHSERVER_OBSERVABILITY_METRICS_PROVIDER: 'none' });
    expect(await status(server)).toBe(404);
  });

  /** As the owner of the state directory, who needs no token. */
  async function throughSocket(server: TestServer): Promise<string> {
    const elsewhere = await readFile(path.join(server.stateDir, 'admin.sock.path'), 'utf8').catch(() => '');
    const socketPath = elsewhere.trim() || path.join(server.stateDir, 'admin.sock');
    const sent = request({ socketPath, path: '/metrics' }).end();
    const answer = await new Promise<NodeJS.ReadableStream>((resolve, reject) =>
      sent.once('response', resolve).once('error', reject),
    );
    return text(answer);
  }
});

test('a collector that takes nothing is named once in the log, and harms nobody', async () => {
  await using storage = await freshStorage({ name: 'sqlite' });
  await using refusing = await startCollector(400);
  await using server = await startServer({
    storage,
    env: {
      AUTHPLANE_METRICS_PROVIDER: 'otel',
      AUTHSERVER_OBSERVABILITY_METRICS_OTLP_ENDPOINT: refusing.endpoint,
      AUTHSERVER_OBSERVABILITY_METRICS_OTLP_INTERVAL: '1s',
      AUTHSERVER_OBSERVABILITY_METRICS_OTLP_TIMEOUT: '1s',
    },
  });
  await refusing.received(2);
  expect((await fetch(`${server.url}/ready`)).status).toBe(200);
  expect((await fetch(`${server.adminUrl}/metrics`)).status).toBe(404);
  expect(await server.stop()).toBe(0);
  expect(server.log.split('metrics could not be pushed').length - 1).toBe(1);
  expect(server.log).toContain(refusing.endpoint);
});
