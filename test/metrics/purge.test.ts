// What a purge tells: of a server, and of a command that ends by itself.

import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { query } from '../setup/cluster.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { freePort } from '../setup/free-port.ts';
import { migrateFresh } from '../setup/fresh-store.ts';
import { TestServer } from '../setup/server.ts';
import { startCollector } from './collector.ts';
import { parseScrape, total } from './scrape.ts';

const DAY = 86_400;
const target = 'dpop-nonces';

/** Rows that have been due for this long. No server runs. */
async function addExpired(storage: FreshStorage, count: number, seconds: number): Promise<void> {
  const expired = Date.now() - seconds * 1000;
  const rows = Array.from({ length: count }, () => `('${randomUUID()}', ${expired})`);
  const sql = `insert into dpop_nonces (id, expires_at) values ${rows.join(', ')}`;
  if (storage.driver === 'postgres') {
    await query(storage.dsn, sql);
    return;
  }
  using db = new DatabaseSync(storage.path);
  db.exec(sql);
}

describeEngines('the metrics of a purge', (engine) => {
  test('a server tells of its backlog, and of what it has purged', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    await migrateFresh(storage);
    await addExpired(storage, 3, DAY);
    await server.start();
    const scrape = async () => parseScrape(await (await fetch(`${server.adminUrl}/metrics`)).text());

    const before = await scrape();
    expect(total(before, 'authserver_purge_backlog_seconds', { target })).toBeGreaterThan(DAY - 60);
    expect(total(before, 'authserver_purge_backlog_seconds', { target })).toBeLessThan(DAY + 60);
    expect(total(before, 'authserver_purge_rows_total', { target })).toBe(0);

    // On PostgreSQL the command line would purge in a process of its own.
    const asked = await fetch(`${server.adminUrl}/admin/purge`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.adminApiKey}`, 'content-type': 'application/json' },
      body: '{}',
    });
    expect(await asked.text()).toContain('"report"');
    const after = await scrape();
    expect(total(after, 'authserver_purge_rows_total', { target })).toBe(3);
    expect(total(after, 'authserver_purge_duration_seconds_count', { target })).toBe(1);
    expect(total(after, 'authserver_purge_failures_total')).toBe(0);
    expect(total(after, 'authserver_audit_events_total', { action: 'purge.completed' })).toBe(1);
  });

  test('a purge that runs once pushes what it did before it ends', async () => {
    await using collector = await startCollector();
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({
      storage,
      env: {
        AUTHPLANE_METRICS_PROVIDER: 'otel',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      },
    });
    await migrateFresh(storage);
    await addExpired(storage, 5, DAY);
    expect((await server.cli(['purge'])).code).toBe(0);

    expect(collector.pushes.length).toBe(1);
    const push = collector.pushes.at(-1)!;
    expect(push.resource['service.instance.id']).toMatch(/:process-\d+$/);
    const seen = { samples: push.metrics.flatMap(({ samples }) => samples), types: new Map() };
    expect(total(seen, 'authserver_purge_rows_total', { target })).toBe(5);
    expect(total(seen, 'authserver_purge_duration_seconds_count', { target })).toBe(1);
    expect(total(seen, 'authserver_purge_backlog_seconds', { target })).toBe(0);
    expect(total(seen, 'authserver_purge_last_run_age_seconds')).toBeLessThan(60);
  });

  test('a server that waits for its schema tells that it does', async () => {
    await using storage = await freshStorage(engine);
    const port = await freePort();
    await using server = await TestServer.prepare({
      storage,
      env: { AUTHSERVER_STORAGE_AUTO_MIGRATE: 'false', AUTHSERVER_ADMIN_ADDRESS: `:${port}` },
    });
    const started = server.start();
    started.catch(() => undefined);
    const pending = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined);
      return answer && total(parseScrape(await answer.text()), 'authserver_schema_pending_steps');
    };
    await expect.poll(pending, { timeout: 10_000 }).toBeGreaterThan(0);
    if (engine.name === 'postgres') {
      await migrateFresh(storage);
      await started;
      await expect.poll(pending, { timeout: 10_000 }).toBe(0);
    }
  });
});
