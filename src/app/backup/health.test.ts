import { describe, expect, test } from 'vitest';
import type { SettingStore, Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { backupHealth } from './health.ts';

const HOUR = 60 * 60 * 1000;
const NOW = Date.UTC(2026, 10, 22);

async function healthWith(madeAt: number | undefined, installed = NOW) {
  const value = JSON.stringify({ id: 'x', at: NOW, made_at: madeAt, rto_ms: 1, rows: 1, size: 1 });
  const get: SettingStore['get'] = async ({ name }) =>
    madeAt === undefined ? undefined : { name, value, updated_at: NOW };
  const store = { settings: { get }, deployment: { get: async () => ({ created_at: installed }) } };
  const config = { backup: { max_age: 26 * HOUR } } as Config;
  return backupHealth(config, store as unknown as Store, { now: () => NOW });
}

describe('what is said of the last verified backup', () => {
  test('is good while it is young, or the installation is', async () => {
    expect(await healthWith(NOW - 26 * HOUR)).toEqual({ ok: true });
    expect(await healthWith(undefined)).toEqual({ ok: true });
  });

  test('is its age when it is old', async () => {
    expect(await healthWith(NOW - 27 * HOUR)).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/1d3h old/),
    });
    expect(await healthWith(undefined, NOW - 27 * HOUR)).toMatchObject({ ok: false });
  });

  test('is not that all is well when it was made by a clock that ran ahead', async () => {
    expect(await healthWith(NOW + HOUR / 2)).toEqual({ ok: true });
    expect(await healthWith(NOW + 24 * 365 * HOUR)).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/later than now/),
    });
  });
});
