import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type Progress, progressLine, progressText } from './progress.ts';

const half: Progress = { label: 'jti (2 of 18)', done: 3000, unit: 'rows', share: 0.5, elapsed: 3000 };

test('tells how far it is, how fast, and how long it will take', () => {
  expect(progressText(half)).toBe(
    'jti (2 of 18)  [############------------]  50 %  3000 rows  1000/s  3s left',
  );
  expect(progressText({ ...half, share: 1, elapsed: 61_000 })).toMatch(/ {2}100 % .* 0s left$/);
});

test('claims no rate after a moment, and no time left where the whole is unknown', () => {
  expect(progressText({ ...half, elapsed: 100 })).toMatch(/50 % {2}3000 rows$/);
  expect(progressText({ ...half, share: null })).toBe('jti (2 of 18)  3000 rows  1000/s');
  expect(progressText({ ...half, share: 0 })).toMatch(/ 0 % {2}3000 rows {2}1000\/s$/);
});

test('stays on one line of a terminal, and wipes it', () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 20 });
  const line = progressLine(terminal);
  line.clear();
  expect(terminal.read()).toBeNull();
  line.show(half);
  line.show(half);
  const wipe = `\r${String.fromCharCode(27)}[2K`;
  const text = `${wipe}${progressText(half).slice(0, 19)}`;
  expect(String(terminal.read())).toBe(text + text);
  line.clear();
  expect(String(terminal.read())).toBe(wipe);
});

test('writes nothing where nobody watches', () => {
  const file = new PassThrough();
  const line = progressLine(file);
  line.show(half);
  line.clear();
  expect(file.read()).toBeNull();
});
