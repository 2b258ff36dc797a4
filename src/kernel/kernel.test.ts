import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { equalSecrets, fromBase64url, fromUtf8, sha256 } from './bytes.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { asFailure, Failure } from './errors.ts';
import { makeIds } from './ids.ts';
import { systemRandom } from './random.ts';

describe('ids', () => {
  test('have 26 characters after the prefix and sort by the time they were made', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 48 - 2 }),
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        (time, chance) => {
          const at = (now: number) =>
            makeIds({ now: () => now }, { bytes: () => Buffer.from(chance) }).next('usr');
          expect(at(time)).toMatch(/^usr_[0-9a-hjkmnp-tv-z]{26}$/);
          expect(at(time) < at(time + 1)).toBe(true);
        },
      ),
    );
  });

  test('all chance goes in: ids of one moment differ wherever their bytes differ', () => {
    const zero = Buffer.alloc(10);
    const seen = new Set<string>();
    for (let bit = 0; bit < 80; bit++) {
      const bytes = Buffer.from(zero);
      bytes[bit >> 3] = 1 << (bit & 7);
      seen.add(makeIds({ now: () => 0 }, { bytes: () => bytes }).next('x'));
    }
    expect(seen.size).toBe(80);
  });

  test('ten thousand in a row are all different', () => {
    const ids = makeIds({ now: () => 1 }, systemRandom);
    expect(new Set(Array.from({ length: 10_000 }, () => ids.next('x'))).size).toBe(10_000);
  });
});

describe('durations', () => {
  test.each([
    ['0', 0],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
  ])('%s is %d ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.each(['', '5', 'm', '-1s', '1 s', '1y', 's1', '1h-', '1e3s'])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test('what is written is read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});

describe('bytes', () => {
  test('secrets compare by content, whatever their lengths', () => {
    expect(equalSecrets('abc', 'abc')).toBe(true);
    expect(equalSecrets('abc', 'abd')).toBe(false);
    expect(equalSecrets('abc', 'abcd')).toBe(false);
    expect(sha256('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0');
  });

  test('base64url is read only in its one proper form (RFC 7515 section 2)', () => {
    expect(fromBase64url('_-8')?.toString('hex')).toBe('ffef');
    for (const text of ['_-8=', '_-9', '+/8', 'a', 'ab\n']) expect(fromBase64url(text)).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = Buffer.from(bytes).toString('base64url');
        expect(fromBase64url(text)).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test('text is UTF-8 or it is nothing', () => {
    expect(fromUtf8(Buffer.from('häß'))).toBe('häß');
    expect(fromUtf8(Buffer.from([0xc3, 0x28]))).toBeUndefined();
    expect(fromUtf8(Buffer.from([0xed, 0xa0, 0x80]))).toBeUndefined();
  });
});

describe('failures', () => {
  test('what was not meant to be thrown shows nothing of itself', () => {
    const failure = asFailure(new Error('password=hunter2'));
    expect(failure.code).toBe('internal');
    expect(failure.message).not.toContain('hunter2');
    expect(failure.detail).toContain('hunter2');
  });

  test('one of ours stays what it is', () => {
    const failure = new Failure('conflict', 'Taken.');
    expect(asFailure(failure)).toBe(failure);
  });
});
