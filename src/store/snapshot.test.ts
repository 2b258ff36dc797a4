import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { query } from '../../test/setup/cluster.ts';
import { type Engine, engines, type FreshStorage, freshStorage } from '../../test/setup/engines.ts';
import { storageChoice } from '../../test/setup/fresh-store.ts';
import { loadFixture } from '../../test/upgrade/database.ts';
import { migrateSchema } from '../app/open-store.ts';
import { loadSnapshot, readSnapshot } from '../app/snapshots.ts';
import { systemClock as clock } from '../kernel/clock.ts';
import { systemRandom as random } from '../kernel/random.ts';
import { checksum, timeline } from './migrations/timeline.ts';
import { digestTables, type SnapshotHead, type SnapshotPart, type TableTotal } from './snapshot.ts';
import { tablesAfter } from './sql/tables.ts';

type Value = string | number | bigint | null;
type Row = Readonly<Record<string, Value>>;
type Rows = Readonly<Record<string, readonly Row[]>>;

const PATIENCE = 60_000;
const SQLITE: Engine = { name: 'sqlite' };
const POSTGRES: Engine = { name: 'postgres' };

const steps = timeline.map((step) => ({ version: step.version, name: step.name, checksum: checksum(step) }));

/** What people and programs put into columns, and what breaks careless writers of JSON and SQL. */
const LARGEST = 2n ** 63n - 1n;
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    ' ',
    '\n',
    '\r\n\t\b\f\v',
    '\u0001\u001f\u007f\u0080\u009f',
    '"',
    "'",
    '\\',
    '\\u0041',
    '\\n',
    '`$1?;--',
  ),
  fc.constantFrom(
    'null',
    '0',
    '{"a":[1,"ß"]}',
    '🦊👩‍👩‍👧‍👦',
    'e\u0301',
    '\u2028\u2029',
    '\ufeff',
    '\ufffe\uffff',
    '\u{10ffff}',
    'İıſ',
  ),
);
/** PostgreSQL has no text with U+0000. */
const text = anyText.map((value) => value.replaceAll('\0', ''));
const integer = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom<Value>(
    0,
    -1,
    2 ** 53,
    -(2 ** 53),
    2n ** 53n + 1n,
    -(2n ** 53n) - 1n,
    LARGEST,
    -LARGEST - 1n,
  ),
);
const optional = (value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });

/** More rows than a page has; keys of one text, of three texts, and of a number. */
const anyRows = fc.record({
  texts: fc.uniqueArray(text, { minLength: 600, maxLength: 650 }),
  values: fc.array(fc.tuple(text, optional(text), integer, optional(integer)), {
    minLength: 100,
    maxLength: 100,
  }),
});

describe('a snapshot', () => {
  it('is the same lines from both engines, whatever the rows hold, in the order of the bytes of the keys', {
    timeout: PATIENCE,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(anyRows, async (given) => {
        const rows = rowsOf(given);
        const expected = totalsOf(rows);
        await using chain = new AsyncDisposableStack();
        let from: readonly SnapshotPart[] = partsOf(rows);
        for (const engine of [SQLITE, POSTGRES, SQLITE].filter(({ name }) =>
          engines.some((one) => one.name === name),
        )) {
          const fresh = chain.use(await freshStorage(engine));
          await migrate(fresh);
          await load(fresh, from);
          const { head, parts } = await read(fresh);
          expect(parts.filter(({ kind }) => kind === 'total')).toEqual(expected);
          expect(textOf(parts)).toEqual(textOf(partsOf(rows)));
          expect(head.audit).toEqual({ sequence: 7, hash: 'h' });
          from = parts;
        }
      }),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it.skipIf(!engines.some(({ name }) => name === 'postgres'))(
    'is the same from a database that sorts as people do',
    { timeout: PATIENCE },
    async () => {
      await using fresh = await freshStorage(POSTGRES);
      if (fresh.driver !== 'postgres') throw new TypeError(`asked for postgres, got ${fresh.driver}`);
      const dsn = new URL(fresh.dsn);
      dsn.pathname += '_en';
      const name = dsn.pathname.slice(1);
      await query(
        fresh.dsn,
        `create database ${name} template template0 locale_provider icu icu_locale 'en-US'`,
      );
      const english = { ...fresh, dsn: dsn.href };
      try {
        const rows = rowsOf({ texts: ['b', 'B', 'a', 'A', 'ä', 'z', '_', 'a b', 'a-b', 'ab'], values: [] });
        const [sorted] = await query(english.dsn, "select 'a' < 'B' as as_people_do");
        expect(sorted).toEqual({ as_people_do: true });
        await migrate(english);
        await load(english, partsOf(rows));
        expect(textOf((await read(english)).parts)).toEqual(textOf(partsOf(rows)));
      } finally {
        await query(fresh.dsn, `drop database ${name} with (force)`);
      }
    },
  );

  it('with U+0000 in a text comes back from SQLite, and PostgreSQL refuses it by the name of its table', {
    timeout: PATIENCE,
  }, async () => {
    const rows = rowsOf({ texts: ['a\0b'], values: [['', null, 0, null]] });
    for (const engine of engines) {
      await using fresh = await freshStorage(engine);
      await migrate(fresh);
      const loaded = load(fresh, partsOf(rows));
      if (engine.name === 'sqlite') {
        await loaded;
        expect(textOf((await read(fresh)).parts)).toEqual(textOf(partsOf(rows)));
      } else {
        await expect(loaded).rejects.toMatchObject({
          code: 'invalid_input',
          message: expect.stringContaining('into settings'),
        });
      }
    }
  });

  it('has parts of about a mebibyte, also where rows are large', { timeout: PATIENCE }, async () => {
    const values = Array.from({ length: 300 }, (): AnyValues => ['x'.repeat(12_000), null, 0, null]);
    const rows = rowsOf({ texts: ['one'], values });
    for (const engine of engines) {
      await using fresh = await freshStorage(engine);
      await migrate(fresh);
      await load(fresh, partsOf(rows));
      const sizes = (await read(fresh)).parts.flatMap((part) =>
        part.kind === 'rows' ? [part.bytes.byteLength] : [],
      );
      const full = sizes.filter((size) => size > 100_000).slice(0, -1);
      expect(full.length).toBeGreaterThan(5);
      for (const size of full) {
        expect(size).toBeGreaterThan(2 ** 20);
        expect(size).toBeLessThan(1.25 * 2 ** 20);
      }
    }
  });

  it.skipIf(!engines.some(({ name }) => name === 'postgres'))(
    'ends when its connection does, whether it waits for rows or they wait for it',
    { timeout: PATIENCE },
    async () => {
      await using fresh = await freshStorage(POSTGRES);
      if (fresh.driver !== 'postgres') throw new TypeError(`asked for postgres, got ${fresh.driver}`);
      await migrate(fresh);
      await query(
        fresh.dsn,
        `insert into settings (name, value, updated_at) select 'n' || i, repeat(md5(i::text), 300), 0
         from generate_series(1, 10000) as g(i)`,
      );
      const cut = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'authserver snapshot'
        and datname = current_database()`;
      for (const pause of [0, 300]) {
        await using snapshot = await readSnapshot(storageChoice(fresh), { clock });
        let bytes = 0;
        const reading = async () => {
          for await (const part of snapshot.parts()) {
            if (part.kind !== 'rows') continue;
            if (bytes === 0) {
              await sleep(pause);
              expect(await query(fresh.dsn, cut)).toHaveLength(1);
            }
            bytes += part.bytes.byteLength;
          }
        };
        await expect(reading()).rejects.toMatchObject({ code: 'unavailable' });
        expect(bytes).toBeLessThan(90 * 2 ** 20);
      }
    },
  );

  it('of an older schema fills a database of that schema, which then goes on to the newest', {
    timeout: PATIENCE,
  }, async () => {
    for (const engine of engines) {
      await using old = await freshStorage(engine);
      await using fresh = await freshStorage(engines.at(engine.name === 'sqlite' ? -1 : 0) as Engine);
      await loadFixture(old, 1);
      const { head, parts } = await read(old);
      expect(head.steps.map(({ version }) => version)).toEqual([1]);
      expect(head.tables.map(({ name }) => name)).not.toContain('leases');
      await migrate(fresh);
      await expect(load(fresh, parts, [...head.steps])).rejects.toMatchObject({ code: 'refused' });

      await using target = await freshStorage({ name: fresh.driver });
      await migrate(target, 1);
      await load(target, parts, [...head.steps]);
      for (const storage of [old, target]) await migrate(storage);
      const rest = async (of: FreshStorage) => {
        const totals = await digestTables(await readSnapshot(storageChoice(of), { clock }));
        return totals.filter(({ table }) => table !== 'schema_migrations');
      };
      const after = await rest(target);
      expect(after).toEqual(await rest(old));
      expect(after.map(({ table }) => table)).toContain('leases');
    }
  });
});

type AnyValues = readonly [string, Value, Value, Value];

function migrate(fresh: FreshStorage, upTo = Number.POSITIVE_INFINITY) {
  const steps = timeline.filter(({ version }) => version <= upTo);
  return migrateSchema(storageChoice(fresh), { clock, random, timeline: steps });
}

async function read(fresh: FreshStorage): Promise<{ head: SnapshotHead; parts: readonly SnapshotPart[] }> {
  await using snapshot = await readSnapshot(storageChoice(fresh), { clock });
  const parts: SnapshotPart[] = [];
  for await (const part of snapshot.parts()) parts.push(part);
  return { head: snapshot.head, parts };
}

function load(
  fresh: FreshStorage,
  parts: readonly SnapshotPart[],
  of = steps,
): Promise<readonly TableTotal[]> {
  return loadSnapshot(storageChoice(fresh), { steps: of, parts });
}

/** Rows of odd texts and numbers. */
function rowsOf({ texts, values }: { texts: readonly string[]; values: readonly AnyValues[] }): Rows {
  const required = {
    grant_types_json: '',
    response_types_json: '',
    redirect_uris_json: '',
    post_logout_redirect_uris_json: '',
  };
  return {
    schema_migrations: steps.map((step) => ({ ...step, applied_at: 5 })),
    deployment: [{ id: 'dep', created_at: 1, restore_epoch: 3 }],
    settings: [
      { name: 'audit.head', value: '7:h', updated_at: 0 },
      ...texts.filter((name) => name !== 'audit.head').map((name) => ({ name, value: name, updated_at: 0 })),
    ],
    users: [user('a'), user('b')],
    clients: texts.map((id) => ({
      ...{ id, name: id, application_type: 'web', token_endpoint_auth_method: '', ...required, scope: '' },
      ...{
        audiences_json: '',
        jwks_json: null,
        require_pkce: 1,
        skip_consent: 0,
        access_token_lifetime: null,
      },
      ...{
        refresh_token_lifetime: null,
        refresh_token_absolute_lifetime: null,
        client_uri: null,
        logo_uri: null,
      },
      ...{ policy_uri: null, tos_uri: null, contacts_json: '', source: 'admin', status: 'active' },
      ...{ registration_token_hash: null, created_at: 0, updated_at: 0 },
    })),
    consents: texts.map((client_id, index) => ({
      ...{ user_id: index % 2 === 0 ? 'a' : 'b', client_id, resource: texts[index % 5] ?? '', scope: '' },
      ...{ granted_at: 0, updated_at: 0 },
    })),
    audit_events: values.map(([action, ip, at, _], index) => ({
      ...{ sequence: 2 ** index > 2 ** 53 ? -index : 2 ** index, at, action, actor: action },
      ...{ client_id: null, user_id: ip, ip, detail_json: action, previous_hash: '', hash: '' },
    })),
    login_failures: values.map(([, , failures, locked_until], index) => ({
      ...{ id: String(index), failures, window_ends_at: failures, locked_until, expires_at: 0 },
    })),
  };
}

function user(id: string): Row {
  const rest = { profile_json: '{}', created_at: 0, updated_at: 0 };
  return { id, username: id, email: null, email_verified: 0, status: 'active', ...rest };
}

/** The parts of a database that has these rows, made without what is under test. */
function partsOf(rows: Rows): SnapshotPart[] {
  return tablesAfter(timeline).flatMap(({ name, columns, key }) => {
    const inOrder = (rows[name] ?? []).toSorted((a, b) => compare(a, b, key));
    const lines = inOrder
      .map((row) => `{${columns.map(({ name }) => `"${name}":${json(row[name])}`).join(',')}}\n`)
      .join('');
    const digest = createHash('sha256').update(lines).digest('hex');
    const total: SnapshotPart = { kind: 'total', table: name, rows: inOrder.length, digest };
    if (inOrder.length === 0) return [total];
    return [{ kind: 'rows', table: name, rows: inOrder.length, bytes: Buffer.from(lines) }, total];
  });
}

function totalsOf(rows: Rows): SnapshotPart[] {
  return partsOf(rows).filter(({ kind }) => kind === 'total');
}

function textOf(parts: readonly SnapshotPart[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const part of parts) {
    if (part.kind === 'rows')
      found[part.table] = (found[part.table] ?? '') + Buffer.from(part.bytes).toString();
  }
  return found;
}

function json(value: Value | undefined): string {
  if (value === undefined) throw new TypeError('a row of the test lacks a column');
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}

function compare(a: Row, b: Row, key: readonly string[]): number {
  for (const column of key) {
    const [left, right] = [a[column], b[column]];
    const order =
      typeof left === 'string'
        ? Buffer.compare(Buffer.from(left), Buffer.from(String(right)))
        : Number(left) - Number(right);
    if (order !== 0) return order;
  }
  return 0;
}
