import { describe, expect, test } from 'vitest';
import { silentLog } from '../../kernel/log.ts';
import { makeHealth } from '../health.ts';
import { databaseSource } from './database.ts';
import { prometheusText } from './prometheus.ts';
import { Registry } from './registry.ts';
import { Sources } from './sources.ts';
import { metricTable } from './table.ts';

const registry = () => new Registry(() => 0);

/** The lines of one metric, without those about it. */
function linesOf(text: string, name: string): string[] {
  return text.split('\n').filter((line) => new RegExp(`^${name}(_bucket|_sum|_count)?[{ ]`).test(line));
}

describe('the registry', () => {
  test('counts, and gives the same series to all who ask for it', () => {
    const numbers = registry();
    numbers.counter('authserver_sign_ins_total', { outcome: 'refused' }).add();
    numbers.counter('authserver_sign_ins_total', { outcome: 'refused' }).add(2);
    expect(linesOf(prometheusText(numbers.read()), 'authserver_sign_ins_total')).toEqual([
      'authserver_sign_ins_total{outcome="signed_in"} 0',
      'authserver_sign_ins_total{outcome="refused"} 3',
      'authserver_sign_ins_total{outcome="locked"} 0',
    ]);
  });

  test('adds up the steps of a histogram; a value on the edge of a step belongs to it', () => {
    const numbers = registry();
    const batches = numbers.histogram('authserver_sqlite_batch_size');
    for (const size of [1, 2, 3, 256, 1000]) batches.observe(size);
    expect(linesOf(prometheusText(numbers.read()), 'authserver_sqlite_batch_size')).toEqual([
      'authserver_sqlite_batch_size_bucket{le="1"} 1',
      'authserver_sqlite_batch_size_bucket{le="2"} 2',
      ...['4', '8', '16', '32', '64', '128'].map((le) => `authserver_sqlite_batch_size_bucket{le="${le}"} 3`),
      'authserver_sqlite_batch_size_bucket{le="256"} 4',
      'authserver_sqlite_batch_size_bucket{le="+Inf"} 5',
      'authserver_sqlite_batch_size_sum 1262',
      'authserver_sqlite_batch_size_count 5',
    ]);
  });

  test('forgets the series of a gauge that are not named again', () => {
    const numbers = registry();
    const age = (kid: string, value: number) => ({ labels: { kid, state: 'active' }, value });
    numbers.replace('authserver_signing_key_age_seconds', [age('one', 1), age('two', 2)]);
    numbers.replace('authserver_signing_key_age_seconds', [age('two', 3)]);
    expect(linesOf(prometheusText(numbers.read()), 'authserver_signing_key_age_seconds')).toEqual([
      'authserver_signing_key_age_seconds{kid="two",state="active"} 3',
    ]);
  });

  test('escapes what a label value may hold', () => {
    const numbers = registry();
    numbers.replace('authserver_metrics_source_up', [{ labels: { source: 'a"b\\c\nd' }, value: 1 }]);
    expect(prometheusText(numbers.read())).toContain('{source="a\\"b\\\\c\\nd"} 1\n');
  });

  test.each([
    ['a metric that is not in the table', 'authserver_nonsense_total', {}],
    ['a label that the metric lacks', 'authserver_sessions_started_total', { user: 'alice' }],
    ['a label that is missing', 'authserver_sign_ins_total', {}],
    ['a value that the label does not have', 'authserver_sign_ins_total', { outcome: 'alice' }],
    ['a metric of another kind', 'authserver_sqlite_batch_size', {}],
  ])('refuses %s', (_, name, labels) => {
    expect(() => registry().counter(name, labels)).toThrow(TypeError);
  });
});

test('the table keeps the conventions: names, base units, a text for each', () => {
  for (const [name, { type, unit, help, buckets }] of Object.entries(metricTable)) {
    expect(name).toMatch(/^authserver_[a-z0-9]+(_[a-z0-9]+)*$/);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (unit !== 'none') expect(name.replace(/_total$/, '').endsWith(`_${unit}`), name).toBe(true);
    expect(/_(milliseconds|ms|kilobytes|minutes)(_|$)/.test(name), name).toBe(false);
    expect(help).toMatch(/\S/);
    expect(buckets !== undefined, name).toBe(type === 'histogram');
    expect(buckets ?? []).toEqual((buckets ?? []).toSorted((a, b) => a - b));
  }
});

test.concurrent('a database that hangs is told as down by the first scrape', async () => {
  const numbers = registry();
  const parts = { clock: { now: () => 0 }, log: silentLog };
  const keyring = { state: () => ({ signing: 'k1', problems: [], keys: [] }) };
  const hangs = () => new Promise<never>(() => undefined);
  const health = makeHealth({ ...parts, keyring, store: { ping: hangs }, pendingSteps: hangs });
  const states = await new Sources(parts).ask([databaseSource(numbers, health)]);
  expect(states).toEqual([{ name: 'database', up: true }]);
  expect(linesOf(prometheusText(numbers.read()), 'authserver_database_up')).toEqual([
    'authserver_database_up 0',
  ]);
});

describe('sources', () => {
  const setUp = () => {
    const clock = { time: 0, now: () => clock.time };
    const warnings: unknown[] = [];
    const log = { ...silentLog, warn: (fields: object) => void warnings.push(fields) };
    return { clock, warnings, sources: new Sources({ clock, log }) };
  };

  test('are asked no more often than they allow, however many look', async () => {
    const { clock, sources } = setUp();
    let asked = 0;
    const source = {
      name: 'slow',
      freshness: 1000,
      ask: async () => {
        asked += 1;
      },
    };
    await Promise.all([sources.ask([source]), sources.ask([source])]);
    clock.time = 999;
    await sources.ask([source]);
    expect(asked).toBe(1);
    clock.time = 1000;
    await sources.ask([source]);
    expect(asked).toBe(2);
  });

  test('that fail are down, and told of once until they are well again', async () => {
    const { warnings, sources } = setUp();
    let broken = true;
    const source = {
      name: 'flaky',
      freshness: 0,
      ask: async () => {
        if (broken) throw new Error('no');
      },
    };
    for (let time = 0; time < 3; time++)
      expect(await sources.ask([source])).toEqual([{ name: 'flaky', up: false }]);
    expect(warnings).toEqual([{ source: 'flaky', detail: 'no' }]);
    broken = false;
    expect(await sources.ask([source])).toEqual([{ name: 'flaky', up: true }]);
  });

  test.concurrent('that hang do not hold up the others', async () => {
    const { sources } = setUp();
    const hangs = { name: 'hangs', freshness: 0, ask: () => new Promise<void>(() => undefined) };
    const well = { name: 'well', freshness: 0, ask: async () => undefined };
    expect(await sources.ask([hangs, well])).toEqual([
      { name: 'hangs', up: false },
      { name: 'well', up: true },
    ]);
  });
});
