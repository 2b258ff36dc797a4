import fc from 'fast-check';
import { expect, test } from 'vitest';
import { address, duration, formatAddress, integer, type Key, list, size, truth } from './key.ts';

const about = { text: '', default: undefined };

/** What a key makes of something written, or its complaint. */
function read<Value>(key: Key<Value>, written: unknown): Value | string {
  const result = key.schema.safeParse(written);
  return result.success ? result.data : result.error.issues.map(({ message }) => message).join();
}

const time = duration({ min: '0', max: '3650d' }, about);
const bytes = size({ min: '1B', max: '4GiB' }, about);
const place = address(about);

test('a duration survives being written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3650 * 86_400_000 }), (milliseconds) => {
      expect(read(time, time.format(milliseconds))).toBe(milliseconds);
    }),
  );
});

test('a size survives being written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 * 1024 ** 3 }), (count) => {
      expect(read(bytes, bytes.format(count))).toBe(count);
    }),
  );
});

test('an address survives being written', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.constant('localhost'));
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), (name, port) => {
      expect(read(place, formatAddress({ host: name, port }))).toEqual({ host: name, port });
    }),
  );
});

test('no text makes a reader throw, or give a number that is none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.anything()), (written) => {
      for (const key of [time, bytes]) {
        const value = read<number>(key, written);
        expect(typeof value === 'string' || Number.isInteger(value)).toBe(true);
      }
      read(place, written);
    }),
  );
});

test.each([
  [':9000', { host: '127.0.0.1', port: 9000 }],
  ['0.0.0.0:9000', { host: '0.0.0.0', port: 9000 }],
  ['[::1]:0', { host: '::1', port: 0 }],
])('the address %s', (written, expected) => {
  expect(read(place, written)).toEqual(expected);
});

test.each(['9000', ':65536', '::1:80', '[nonsense]:80', 'a b:80', ':-1', 9000, '', null])(
  '%j is no address',
  (written) => {
    expect(read(place, written)).toMatch(/^must be an address/);
  },
);

test.each([15, '15', '-1s', '1h 30m', '', true])('%j is no duration', (written) => {
  expect(read(time, written)).toMatch(/^must be a duration/);
});

test('bounds are said in the words of the key', () => {
  expect(read(duration({ min: '1m', max: '24h' }, about), '30s')).toBe('must be at least 1m');
  expect(read(size({ min: '8MiB', max: '1GiB' }, about), '2GiB')).toBe('must be at most 1GiB');
  expect(read(integer({ min: 1, max: 9 }, about), '10')).toBe('must be at most 9');
});

test('texts from the environment count as what they say', () => {
  expect(read(truth(about), 'false')).toBe(false);
  expect(read(truth(about), 'no')).toBe('must be true or false');
  expect(read(integer({ min: 0, max: 9 }, about), '7')).toBe(7);
  expect(read(integer({ min: 0, max: 9 }, about), '7.5')).toBe('must be a whole number');
  expect(read(list(about), 'a, b,,c ')).toEqual(['a', 'b', 'c']);
});
