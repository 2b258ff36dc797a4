import { Cron } from 'croner';
import { afterEach, expect, test } from 'vitest';
import { readSchedule } from './cron.ts';

const zone = process.env['TZ'];
afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

const DAY = 86_400_000;
const SCHEDULES = [
  '0 2 * * *',
  '30 1 * * *',
  '*/7 * * * *',
  '0 4 1 * *',
  '15 3 * * 0',
  '0 0 29 2 *',
  '0 12 13 * 5',
  '59 23 L * *',
];

test('is in UTC, wherever the machine is, on days with a change of the clock too', () => {
  for (const place of ['UTC', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu']) {
    process.env['TZ'] = place;
    for (const fields of SCHEDULES) {
      const [ours, named] = [readSchedule(fields), new Cron(fields, { paused: true, timezone: 'UTC' })];
      for (let day = 0; day < 3 * 366; day += 5) {
        const from = new Date(Date.UTC(2026, 0, 1) + day * DAY + day * 977_000);
        const where = `${place}, ${fields}, ${from.toISOString()}`;
        expect(ours.nextRun(from)?.getTime(), where).toBe(named.nextRun(from)?.getTime());
        expect(ours.previousRuns(1, from), where).toEqual(named.previousRuns(1, from));
      }
    }
  }
  const spring = new Date('2026-03-08T01:59:00Z');
  expect(readSchedule('0 2 * * *').nextRun(spring)?.toISOString()).toBe('2026-03-08T02:00:00.000Z');
});

test('throws for what is none', () => {
  for (const fields of ['', 'daily', '61 * * * *', '* * * *'])
    expect(() => readSchedule(fields), fields).toThrow();
});
