// Every table is the business of a purge target, or of nobody for a reason; and what every target takes away, table by table.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { neverPurged, purgeTargets } from '../../src/ops/purge-targets.ts';
import { describeEngines } from '../setup/engines.ts';
import { DAY, MINUTE, RULES, stage } from './fixture.ts';

const TABLES_SQL = {
  sqlite: `select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`,
  postgres: `select table_name as name from information_schema.tables where table_schema = 'public'`,
} as const;

/** What only a migration on PostgreSQL knows: one row, while it runs. */
const OF_MIGRATION = 'schema_lease';

/** Tables that have an `expires_at` of their own and need no other row, with a row of each: id, expiry. */
const PLAIN: Readonly<Record<string, readonly [string, (id: string, end: number) => string]>> = {
  'assertion-jti': ['assertion_jtis', (id, end) => `('${id}', ${end})`],
  'connect-pending-states': ['connect_pending_states', (id, end) => `('${id}', '{}', 0, ${end})`],
  'device-codes': ['device_codes', (id, end) => `('${id}', 'user ${id}', 'cli', '{}', 0, ${end})`],
  'initial-access-tokens': [
    'initial_access_tokens',
    (id, end) => `('${id}', 'hash ${id}', '', '', null, 0, ${end})`,
  ],
  'client-secrets': ['client_secrets', (id, end) => `('${id}', 'cli', 'hash', 0, ${end})`],
  'login-failures': ['login_failures', (id, end) => `('${id}', 1, 0, null, ${end})`],
  'machine-tokens': ['issuances', (id, end) => `('${id}', null, null, 'cli', 'key', 0, ${end}, null)`],
  par: ['pushed_requests', (id, end) => `('${id}', 'cli', '{}', 0, ${end})`],
  'authorization-requests': ['authorization_requests', (id, end) => `('${id}', 'cli', '{}', 0, ${end})`],
  'verification-tokens': ['verification_tokens', (id, end) => `('${id}', 'usr', 'email', 0, ${end})`],
};

test('the runbook has every target, and every table that is never purged, as they are', async () => {
  const runbook = await readFile(path.join(import.meta.dirname, '../../docs/operate/purge.md'), 'utf8');
  for (const { name, tables, goes, stays } of purgeTargets) {
    const those = tables.map((table) => `\`${table}\``).join(', ');
    expect(runbook).toContain(`| \`${name}\` | ${those} | ${goes} | ${stays ?? ''} |`);
  }
  for (const [table, why] of Object.entries(neverPurged))
    expect(runbook).toContain(`| \`${table}\` | ${why} |`);
});

describeEngines('purge targets', (engine) => {
  test('cover every table: each is purged, or never purged for a reason', async () => {
    await using on = await stage(engine);
    const all = (await on.sql(TABLES_SQL[engine.name])).map(({ name }) => String(name));
    const tables = all.filter((name) => name !== OF_MIGRATION).sort();
    const purged = purgeTargets.flatMap(({ tables: those }) => those);
    expect([...new Set([...purged, ...Object.keys(neverPurged)])].sort()).toEqual(tables);
    expect(purged.filter((table) => table in neverPurged)).toEqual([]);
    for (const reason of Object.values(neverPurged)) expect(reason).toMatch(/\w+ \w+/);
    const rows = purgeTargets.flatMap((target) => target.rows);
    expect([...rows].sort()).toEqual(Object.keys(on.store.purge).sort());
  });

  test('walk along an index: every column that they compare first has one', async () => {
    await using on = await stage(engine);
    const indexed = await on.sql(
      engine.name === 'sqlite'
        ? `select tbl_name as name, sql as text from sqlite_schema where type = 'index' and sql is not null`
        : `select tablename as name, indexdef as text from pg_indexes where schemaname = 'public'`,
    );
    const others = ['clients', 'audit_events'];
    for (const table of purgeTargets.flatMap(({ tables }) => tables)) {
      if (others.includes(table)) continue;
      const column = table === 'revocations' ? '(at)' : '(expires_at)';
      const found = indexed.filter(({ name, text }) => name === table && String(text).endsWith(column));
      expect(found, table).toHaveLength(1);
    }
  });

  test.each(Object.entries(PLAIN))(
    '%s: what has run out goes once the margin is over, the rest stays',
    async (target, [table, row]) => {
      await using on = await stage(engine);
      await on.world.client({ id: 'cli' });
      await on.world.user({ id: 'usr' });
      const now = on.clock.now();
      const ends = [now - DAY, now - RULES.margin, now - RULES.margin + 1, now + DAY];
      for (const [n, end] of ends.entries())
        await on.sql(`insert into ${table} values ${row(`row${n}`, end)}`);
      const dry = await on.purge({ only: [target], dry_run: true });
      expect(dry.targets).toMatchObject([{ target, rows: 2, oldest_left: now - DAY }]);
      expect(await on.purge({ only: [target] })).toMatchObject({ outcome: 'completed', rows: 2 });
      const left = await on.sql(`select expires_at from ${table} order by expires_at`);
      expect(left.map(({ expires_at }) => Number(expires_at))).toEqual(ends.slice(2));
    },
  );

  test('revocations: what was taken away is known for 400 days, and no longer', async () => {
    await using on = await stage(engine);
    const oldest = on.clock.now() - RULES.margin - 400 * DAY;
    for (const [n, at] of [oldest - DAY, oldest, oldest + 1].entries())
      await on.store.users.setStatus({
        id: (await on.world.user({ id: `usr${n}` })).id,
        status: 'active',
        now: at,
      });
    expect((await on.purge({ only: ['revocations'], dry_run: true })).targets).toMatchObject([
      { rows: 2, oldest_left: oldest - DAY },
    ]);
    expect((await on.purge({ only: ['revocations'] })).rows).toBe(2);
    expect((await on.store.revocations.list({ after: '', limit: 9 })).map(({ at }) => at)).toEqual([
      oldest + 1,
    ]);
  });

  test('dpop-nonces: ids and nonces both', async () => {
    await using on = await stage(engine);
    for (const table of ['dpop_jtis', 'dpop_nonces']) {
      await on.sql(`insert into ${table} values ('old', 1), ('new', ${on.clock.now()})`);
    }
    expect((await on.purge({ only: ['dpop-nonces'] })).rows).toBe(2);
    for (const table of ['dpop_jtis', 'dpop_nonces']) {
      expect(await on.sql(`select id from ${table}`)).toEqual([{ id: 'new' }]);
    }
  });

  test('sessions: none goes while a code of it may still be redeemed', async () => {
    await using on = await stage(engine);
    const parties = await on.world.parties();
    const { expires_at: end } = parties.session;
    // The longest code that a session can have given just before it ran out.
    await on.world.code(parties, { expires_at: end + RULES.longestCode });
    on.clock.time = end + RULES.longestCode + RULES.margin - 1;
    expect((await on.purge({ only: ['sessions'] })).rows).toBe(0);
    on.clock.time += 1;
    expect((await on.purge({ only: ['sessions'] })).rows).toBe(1);
  });

  test('token-families: none goes while an access token of it may be about', async () => {
    await using on = await stage(engine);
    const { family } = await on.world.granted();
    on.clock.time = family.expires_at + RULES.longestAccessToken + RULES.margin - 1;
    await on.purge();
    expect(await on.store.families.find({ id: family.id })).toBeDefined();
    on.clock.time += 1;
    await on.purge();
    expect(await on.store.families.find({ id: family.id })).toBeUndefined();
  });

  test('audit-events and abandoned-clients: kept for as long as the settings say, 0 for ever', async () => {
    await using on = await stage(engine);
    const { auditRetention, abandonedAfter, margin } = RULES;
    await on.world.client({ source: 'dynamic' });
    const start = on.clock.now();
    await on.sql(
      `insert into audit_events values (1, ${start}, 'a', 'b', null, null, null, '{}', '', 'hash')`,
    );
    const only = ['audit-events', 'abandoned-clients'];
    const gone = async (time: number, rules = RULES) => {
      on.clock.time = time;
      const { targets } = await on.purge({ only, dry_run: true }, { parts: { rules } });
      return targets.filter(({ rows }) => rows > 0).map(({ target }) => target);
    };
    expect(await gone(start + abandonedAfter + margin - 1)).toEqual([]);
    expect(await gone(start + abandonedAfter + margin)).toEqual(['abandoned-clients']);
    expect(await gone(start + auditRetention + margin - 1)).toEqual(['abandoned-clients']);
    expect(await gone(start + auditRetention + margin)).toEqual(['abandoned-clients', 'audit-events']);
    expect(
      await gone(start + 9 * auditRetention, { ...RULES, auditRetention: 0, abandonedAfter: 0 }),
    ).toEqual([]);
  });

  test('abandoned-clients: none goes that has pushed a request or shown a device code', async () => {
    await using on = await stage(engine);
    for (const id of ['pushed', 'shown', 'unused']) await on.world.client({ id, source: 'dynamic' });
    const end = on.clock.now() + 90 * DAY;
    await on.sql(`insert into pushed_requests values ('one', 'pushed', '{}', 0, ${end})`);
    await on.sql(`insert into device_codes values ('one', 'user code', 'shown', '{}', 0, ${end})`);
    on.clock.time += 60 * DAY;
    expect((await on.purge()).rows).toBe(1);
    const left = await on.store.clients.list({ after: '', limit: 10 });
    expect(left.map(({ id }) => id)).toEqual(['pushed', 'shown']);
  });

  test('a user who lives on a busy server loses nothing that still works', async () => {
    await using on = await stage(engine);
    const granted = await on.world.granted();
    on.clock.time += 2 * MINUTE;
    expect((await on.purge({ only: null })).rows).toBe(0);
    expect(await on.world.rotate(granted, { now: on.clock.now() })).toEqual({ outcome: 'rotated' });
  });
});
