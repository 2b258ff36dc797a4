import { expect, test } from 'vitest';
import { firstMeeting } from './schedules.ts';
import { ageText, shellWord, sizeText } from './words.ts';

const HOUR = 3_600_000;

test.each([
  [0, 'no time'],
  [-5, 'no time'],
  [59_999, '59s'],
  [3 * 60_000, '3 minutes'],
  [26 * HOUR, '26 hours'],
  [48 * HOUR, '2 days'],
])('an age of %d ms is %s', (age, text) => expect(ageText(age)).toBe(text));

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [300 * 2 ** 20, '300 MiB'],
  [2 ** 50, '1024 TiB'],
])('%d bytes are %s', (bytes, text) => expect(sizeText(bytes)).toBe(text));

test('a path can be pasted into a shell', () => {
  expect(shellWord('/var/lib/authserver')).toBe('/var/lib/authserver');
  expect(shellWord("/a b/it's")).toBe(`'/a b/it'\\''s'`);
});

test('two schedules meet in the first minute that both have', () => {
  expect(firstMeeting([60_000, 120_000], [125_000, 200_000])).toBe(120_000);
  expect(firstMeeting([60_000], [59_999])).toBeUndefined();
});
