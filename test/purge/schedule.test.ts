// The purge that a server runs by itself: when it runs, when it leaves it to others, how it ends.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { loadConfig } from '../../src/app/config.ts';
import type { LogFields } from '../../src/kernel/log.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { LAST_RUN, type Purge } from '../../src/ops/purge.ts';
import type { PurgeReport } from '../../src/ops/purge-report.ts';
import { schedulePurge } from '../../src/ops/purge-schedule.ts';

const INTERVAL = 30;

const DONE: PurgeReport = {
  ...{
    outcome: 'completed',
    dry_run: false,
    started_at: 0,
    duration: 1,
    rows: 0,
    targets: [],
    held_by: null,
  },
};

/** A schedule on a purge of which only the calls are seen. */
function schedule(run: Purge['run'], lastRun?: () => number) {
  const errors: LogFields[] = [];
  const clock = { now: () => 1_000_000 };
  const settings = {
    get: async ({ name }: { name: string }) =>
      lastRun && name === LAST_RUN ? { name, value: String(lastRun()), updated_at: 0 } : undefined,
  };
  const log = { ...silentLog, error: (fields: LogFields) => void errors.push(fields) };
  const parts = { purge: { run }, settings, clock, random: systemRandom, log, interval: INTERVAL };
  return { running: schedulePurge(parts), errors };
}

test('runs again and again, everything each time and without a limit', async () => {
  const run = vi.fn<Purge['run']>(async () => DONE);
  await using _ = schedule(run).running;
  await vi.waitFor(() => expect(run.mock.calls.length).toBeGreaterThan(2));
  const [request, , caller] = run.mock.calls[0] ?? [];
  expect(request).toEqual({ only: null, timeout: 0, dry_run: false, quiet: true });
  expect(caller).toEqual({ actor: 'system', ip: null });
});

test('leaves a run out when anybody has purged everything less than half an interval ago', async () => {
  const run = vi.fn<Purge['run']>(async () => DONE);
  let last = 1_000_000 - INTERVAL / 2 + 1;
  await using _ = schedule(run, () => last).running;
  await sleep(5 * INTERVAL);
  expect(run).not.toHaveBeenCalled();
  last -= 1;
  await vi.waitFor(() => expect(run).toHaveBeenCalled());
});

test('runs although the last purge seems to come: a clock that ran ahead was set back', async () => {
  const run = vi.fn<Purge['run']>(async () => DONE);
  await using _ = schedule(run, () => 1_000_000 + 9 * INTERVAL).running;
  await vi.waitFor(() => expect(run).toHaveBeenCalled());
});

test('has no interval that a timer, which holds 31 bits, would take for none', async () => {
  const settings = (interval: string) =>
    loadConfig({ file: undefined, terminal: false, env: { AUTHSERVER_PURGE_INTERVAL: interval } });
  const { config } = await settings('20d');
  expect(config.purge.interval * 1.1).toBeLessThan(2 ** 31);
  await expect(settings('21d')).rejects.toThrow('purge.interval');
});

test('goes on after a run that failed, and says why', async () => {
  const run = vi.fn<Purge['run']>(() => Promise.reject(new Error('no database')));
  const { running, errors } = schedule(run);
  await using _ = running;
  await vi.waitFor(() => expect(run.mock.calls.length).toBeGreaterThan(1));
  expect(errors[0]).toEqual({ error: 'no database' });
});

test('ends with the run in hand, which is told to stop', async () => {
  const run = vi.fn<Purge['run']>(
    (_, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () =>
          setTimeout(() => resolve({ ...DONE, outcome: 'stopped' }), 20),
        );
      }),
  );
  const { running } = schedule(run);
  await vi.waitFor(() => expect(run).toHaveBeenCalled());
  await running[Symbol.asyncDispose]();
  const [result] = run.mock.results;
  expect(await result?.value).toMatchObject({ outcome: 'stopped' });
  await sleep(3 * INTERVAL);
  expect(run).toHaveBeenCalledTimes(1);
});

test('ends at once between two runs', async () => {
  const run = vi.fn<Purge['run']>(async () => DONE);
  await schedule(run).running[Symbol.asyncDispose]();
  await sleep(3 * INTERVAL);
  expect(run).not.toHaveBeenCalled();
});
