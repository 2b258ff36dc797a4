import { expect, test } from 'vitest';
import { checkTags, labelFault, REASON, TAG } from './label.ts';

test.each([
  ['before the move', TAG, undefined],
  ['', TAG, /1 to 100 characters, not 0/],
  ['', REASON, undefined],
  ['x'.repeat(101), TAG, /not 101/],
  ['x'.repeat(500), REASON, undefined],
  ['\u001b[31mred', TAG, /control/],
  ['two\nlines', REASON, /control/],
])('%j as a label', (text, kind, fault) => {
  const found = labelFault(text, kind);
  if (fault === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(fault);
});

test('a backup has at most twenty tags, each of them a good one', () => {
  expect(() => checkTags(['a', 'b'])).not.toThrow();
  expect(() => checkTags(['a', ''])).toThrow(/A tag must have/);
  expect(() => checkTags(Array.from({ length: 21 }, (_, n) => `t${n}`))).toThrow(/at most 20/);
});
