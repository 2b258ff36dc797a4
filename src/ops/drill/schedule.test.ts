// When drills happen by themselves, which one comes next, and what becomes of one that cannot take place.

import { expect, test } from 'vitest';
import { Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import { type Log, silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { LeaseStore } from '../../store/store.ts';
import { DRILL_NAMES, type DrillName } from './drill.ts';
import type { LastDrill } from './history.ts';
import type { DrillReport } from './report.ts';
import { scheduleDrills } from './schedule.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 15);
const HOUR = 3_600_000;
const DAILY = '0 4 * * *';

interface World {
  readonly installedAt?: number;
  readonly last?: LastDrill;
  readonly until: number;
  readonly rehearse?: (name: DrillName) => DrillReport;
  readonly held?: boolean;
}

/** Lets time pass as fast as it can, up to an end; what was rehearsed, and when. */
async function live({ installedAt = START, last: first, until, rehearse = passed, held = false }: World) {
  let now = START;
  let last = first;
  const runs = new Map<DrillName, number>();
  const rehearsed: { name: DrillName; at: string }[] = [];
  const errors: string[] = [];
  const clock = { now: () => now };
  const log: Log = { ...silentLog, error: (_, message) => void errors.push(message) };
  const ended = Promise.withResolvers<void>();
  const schedule = scheduleDrills({
    schedule: DAILY,
    remembered: {
      last: async () => last,
      inTurn: async () => DRILL_NAMES.toSorted((a, b) => (runs.get(a) ?? 0) - (runs.get(b) ?? 0)),
    },
    installedAt: async () => installedAt,
    async rehearse(name) {
      rehearsed.push({ name, at: new Date(now).toISOString() });
      const report = rehearse(name);
      runs.set(name, now);
      last = { at: now, name, passed: report.passed, rpo: 0, rto: 1 };
      return report;
    },
    leases: leases(held),
    clock,
    ids: makeIds(clock, systemRandom),
    log,
    async pause(wait, signal) {
      now += wait;
      if (now < START + until) return;
      ended.resolve();
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve());
      });
    },
  });
  await ended.promise;
  await schedule[Symbol.asyncDispose]();
  return { rehearsed, errors };
}

const passed = (drill: DrillName) => ({ id: 'drl_1', drill, passed: true }) as DrillReport;

function leases(held: boolean): LeaseStore {
  return {
    acquire: async () => (held ? { outcome: 'held', by: undefined } : { outcome: 'acquired' }),
    find: async () => undefined,
    renew: async () => ({ outcome: 'renewed' }),
    release: async () => undefined,
  };
}

test('rehearses one after the other, at the times of the schedule', async () => {
  const { rehearsed } = await live({ until: 8 * DAY + 5 * HOUR });
  expect(rehearsed.map(({ name }) => name)).toEqual([...DRILL_NAMES, ...DRILL_NAMES.slice(0, 3)]);
  expect(rehearsed.every(({ at }) => /T04:00:00.000Z$/.test(at))).toBe(true);
});

test('catches up once with what was missed while no server ran', async () => {
  const last: LastDrill = { at: START - 90 * DAY, name: 'host-loss', passed: true, rpo: 0, rto: 1 };
  const { rehearsed } = await live({ last, until: 3 * HOUR });
  expect(rehearsed).toHaveLength(1);
});

test('owes nothing for the time before the installation was made', async () => {
  expect((await live({ until: 3 * HOUR })).rehearsed).toEqual([]);
});

test('is not kept from it by a drill that a clock running ahead has dated', async () => {
  const last: LastDrill = { at: START + 400 * DAY, name: 'host-loss', passed: true, rpo: 0, rto: 1 };
  expect((await live({ last, installedAt: START - 60 * DAY, until: 3 * HOUR })).rehearsed).toHaveLength(1);
});

test('takes the next one where there is nothing to rehearse', async () => {
  const rehearse = (name: DrillName) => {
    if (name === 'host-loss') throw new Failure('refused', 'There is nothing to rehearse.');
    return passed(name);
  };
  const { rehearsed, errors } = await live({ until: 5 * HOUR, rehearse });
  expect(rehearsed.map(({ name }) => name)).toEqual(['host-loss', 'key-loss']);
  expect(errors).toEqual([]);
});

test('tells of one that cannot take place, and tries it again hours later', async () => {
  const rehearse = () => {
    throw new Failure('unavailable', 'The disk is full.');
  };
  const { rehearsed, errors } = await live({ until: 12 * HOUR, rehearse });
  expect(rehearsed.map(({ at }) => at)).toEqual(['2026-01-15T04:00:00.000Z', '2026-01-15T10:00:00.000Z']);
  expect(errors[0]).toContain('The disk is full.');
});

test('leaves it to another process that rehearses already', async () => {
  const last: LastDrill = { at: START - 90 * DAY, name: 'host-loss', passed: true, rpo: 0, rto: 1 };
  expect((await live({ last, until: 3 * HOUR, held: true })).rehearsed).toEqual([]);
});
