import { describe, expect, test } from 'vitest';
import { Failure } from '../../kernel/errors.ts';
import { silentLog } from '../../kernel/log.ts';
import { type CreateReport, heldReport } from './create-report.ts';
import type { LastRun, VerifiedBackup } from './remembered.ts';
import { type BackupSchedule, scheduleBackups } from './schedule.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Noon; the schedule says 02:00. */
const START = Date.UTC(2026, 10, 22, 12);

const REPORT: CreateReport = {
  ...heldReport(0, undefined),
  outcome: 'verified',
  id: '00000001-20261122T020000Z-k3f9',
};

const PASSED = { passed: true, findings: [], notes: [], rto_ms: 1 };

/** A schedule whose time passes only in its pauses, and what came of so many of them. */
async function live(
  pauses: number,
  {
    installed = START - 30 * DAY,
    lastRun = undefined as LastRun | undefined,
    outcomes = [] as readonly ('verified' | 'failed' | 'held' | 'thrown')[],
    schedule = '0 2 * * *',
    during = (_at: number, _schedule: BackupSchedule) => {},
    pruneFails = false,
    targets = [] as CreateReport['targets'],
    proof = PASSED as CreateReport['proof'],
    drift = 0,
  } = {},
) {
  const clock = { time: START, now: () => clock.time };
  const made: number[] = [];
  const pruned: number[] = [];
  const prunedTargets: (string | null)[] = [];
  let last = lastRun;
  let verified: VerifiedBackup | undefined;
  let left = pauses;
  const ended = Promise.withResolvers<void>();
  const running: BackupSchedule = scheduleBackups({
    schedule,
    remembered: { lastRun: async () => last, lastVerified: async () => verified },
    installedAt: async () => installed,
    async create() {
      const outcome = outcomes[made.length] ?? 'verified';
      made.push(clock.time);
      if (outcome === 'held') return heldReport(clock.time, undefined);
      last = { at: clock.time, outcome: outcome === 'thrown' ? 'failed' : outcome };
      if (outcome === 'thrown') throw new Failure('unavailable', 'The bucket is away.');
      if (outcome === 'verified')
        verified = { id: '', at: clock.time, made_at: clock.time, rto_ms: 1, rows: 1, size: 1 };
      return { ...REPORT, outcome, targets, proof };
    },
    prune: async (target) => {
      pruned.push(clock.time);
      prunedTargets.push(target);
      if (pruneFails) throw new Failure('unavailable', 'The database is away.');
      return { dry_run: false, targets: [], held_by: null };
    },
    clock,
    log: silentLog,
    async pause(wait, signal) {
      // The first one comes before there is a schedule to speak to.
      await undefined;
      if (left-- <= 0) {
        ended.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        return;
      }
      during(clock.time, running);
      if (!signal.aborted) clock.time += Math.max(1, wait + drift);
    },
  });
  await ended.promise;
  await running[Symbol.asyncDispose]();
  const inHours = (times: readonly number[]) => times.map((time) => (time - START) / HOUR);
  return { made: inHours(made), pruned: inHours(pruned), prunedTargets, now: (clock.time - START) / HOUR };
}

describe('scheduled backups', () => {
  test('are made when their time has come, in UTC, each with a prune behind it', async () => {
    const { made, pruned } = await live(600, { lastRun: { at: START - 10 * HOUR, outcome: 'verified' } });
    expect(made.slice(0, 3)).toEqual([14, 38, 62]);
    expect(pruned).toEqual(made);
  });

  test('that were missed while no server ran are caught up with, once, soon after the start', async () => {
    const { made } = await live(20, { lastRun: { at: START - 5 * DAY, outcome: 'verified' } });
    expect(made).toEqual([1 / 60]);
  });

  test('of a new installation wait for their time', async () => {
    expect((await live(20, { installed: START - HOUR })).made).toEqual([]);
  });

  test('that failed are tried again after an hour, until one passes', async () => {
    const { made, pruned } = await live(60, {
      lastRun: { at: START - 5 * DAY, outcome: 'verified' },
      outcomes: ['thrown', 'failed', 'verified'],
    });
    expect(made).toHaveLength(3);
    for (const [at, time] of made.slice(1).entries()) expect(time - Number(made[at])).toBeGreaterThan(0.999);
    for (const [at, time] of made.slice(1).entries()) expect(time - Number(made[at])).toBeLessThan(1.25);
    expect(pruned).toHaveLength(1);
  });

  test('of which a copy is missing are followed by a prune of the targets that have one, and of no other', async () => {
    const targets: CreateReport['targets'] = [
      { target: 'near', outcome: 'verified', reason: null },
      { target: 'away', outcome: 'failed', reason: 'It is away.' },
      { target: 'rotten', outcome: 'damaged', reason: 'what was read back is not what was written' },
      { target: 'mute', outcome: 'published', reason: 'it could not be read back' },
    ];
    const lastRun: LastRun = { at: START - 5 * DAY, outcome: 'verified' };
    const { prunedTargets } = await live(1, { lastRun, outcomes: ['failed'], targets });
    expect(prunedTargets).toEqual(['near']);
    const notProven = await live(1, {
      lastRun,
      outcomes: ['failed'],
      targets: targets.map(({ target }) => ({ target, outcome: 'published', reason: null })),
      proof: { ...PASSED, passed: false, findings: ['a key is missing'] },
    });
    expect(notProven.prunedTargets).toEqual([]);
  });

  test.each([-1, 0, 1, 999])('come once when the timer is %d ms off', async (drift) => {
    const { made } = await live(600, { lastRun: { at: START - 10 * HOUR, outcome: 'verified' }, drift });
    expect(made.slice(0, 3).map((time) => Math.round(time * 1000) / 1000)).toEqual([14, 38, 62]);
  });

  test('that another process makes are left to it', async () => {
    const { made } = await live(4, {
      lastRun: { at: START - 5 * DAY, outcome: 'verified' },
      outcomes: ['held'],
    });
    expect(made).toEqual([1 / 60, 2 / 60]);
  });

  test('go on when a clock that ran ahead has gone back', async () => {
    const { made } = await live(10, { lastRun: { at: START + 300 * DAY, outcome: 'verified' } });
    expect(made).toHaveLength(1);
  });

  test('are made out of turn when somebody asks, and again where another was in the way', async () => {
    let asked = false;
    const { made } = await live(10, {
      schedule: 'off',
      outcomes: ['held', 'verified'],
      during(_, schedule) {
        if (!asked) schedule.askNow('a test');
        asked = true;
      },
    });
    expect(made).toHaveLength(2);
    expect(made[0]).toBe(0);
    expect(made[1]).toBeCloseTo(1 / 60);
  });

  test.each([
    ['of its own', 'off'],
    ['when a scheduled one is due as well', '0 2 * * *'],
  ])(
    'out of turn remove no old ones, %s: whoever has just restored may want another of them',
    async (_, schedule) => {
      let asked = false;
      const { made, pruned } = await live(600, {
        schedule,
        lastRun: { at: START - 5 * DAY, outcome: 'verified' },
        outcomes: ['held', 'thrown', 'verified'],
        during(_at, running) {
          if (!asked) running.askNow('a test');
          asked = true;
        },
      });
      expect(made.length).toBeGreaterThan(2);
      // The next one that the schedule makes sees to it.
      expect(pruned).toEqual(made.slice(3));
    },
  );

  test('that are made are not made again because old ones could not be removed', async () => {
    const { made, pruned } = await live(30, {
      lastRun: { at: START - 5 * DAY, outcome: 'verified' },
      pruneFails: true,
    });
    expect([made.length, pruned.length]).toEqual([1, 1]);
  });

  test('switched off are none', async () => {
    expect((await live(50, { schedule: 'off' })).made).toEqual([]);
  });
});
