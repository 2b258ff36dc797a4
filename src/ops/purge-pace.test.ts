import { expect, test } from 'vitest';
import { Pace, type Took } from './purge-pace.ts';

const AIM = 5;

/** A store in which each row that is looked at costs as much, and other work makes a step wait. */
function run(pace: Pace, steps: number, { perRow = 0.02, wait = 2, share = 1, crowded = false } = {}) {
  const seen: { rows: number; worked: number; elapsed: number; pause: number }[] = [];
  for (let n = 0; n < steps; n++) {
    const { rows } = pace;
    const worked = rows * perRow;
    const took: Took = { gone: rows * share, worked, elapsed: worked + wait, crowded };
    seen.push({ rows, worked, elapsed: took.elapsed, pause: pace.after(took) });
  }
  return seen;
}

test('comes to steps that hold others up for as long as it may, and never far beyond', () => {
  for (const perRow of [0.001, 0.02, 0.1]) {
    const steps = run(new Pace(AIM), 20, { perRow });
    expect(steps.at(-1)?.worked).toBeCloseTo(AIM, 0);
    for (const { worked } of steps) expect(worked).toBeLessThanOrEqual(2 * AIM);
  }
  expect(run(new Pace(AIM), 20, { perRow: 0.0001 }).at(-1)?.rows).toBe(5000);
  expect(run(new Pace(AIM), 20, { perRow: 9 }).at(-1)?.rows).toBe(20);
});

test('learns nothing about taking rows away from rows that stay', () => {
  const pace = new Pace(AIM);
  run(pace, 50, { perRow: 0.001, share: 0.1 });
  expect(pace.rows).toBe(500);
  run(pace, 50, { perRow: 0.001 });
  expect(pace.rows).toBe(5000);
  pace.restart();
  expect(pace.rows).toBe(100);
});

test('pauses as long as a step takes while the store is at rest, longer the longer it waits behind others', () => {
  const pace = new Pace(AIM);
  const calm = run(pace, 20).at(-1);
  expect(calm?.pause).toBeCloseTo(calm?.elapsed ?? 0, 0);
  const busy = run(pace, 1, { wait: 8 }).at(-1);
  expect(busy?.pause).toBeGreaterThan(3 * (calm?.pause ?? 0));
  expect(busy?.rows).toBe(calm?.rows);
});

test('gets its share however busy the store is, and a long wait becomes what is usual', () => {
  const pace = new Pace(AIM);
  run(pace, 20);
  const flooded = run(pace, 300, { wait: 500 });
  for (const { worked, pause } of flooded) expect(pause).toBeLessThanOrEqual(9 * (worked + 500));
  expect(flooded[0]?.pause).toBeLessThan(100);
  expect(flooded.at(-1)?.rows).toBeGreaterThan(200);
});

test('goes on in the smallest steps and long pauses while the log is too long', () => {
  const steps = run(new Pace(AIM), 5, { crowded: true });
  expect(steps.slice(1).map(({ rows }) => rows)).toEqual([20, 20, 20, 20]);
  for (const { pause } of steps) expect(pause).toBeGreaterThanOrEqual(250);
});
