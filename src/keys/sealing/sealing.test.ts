import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../kernel/random.ts';
import { type DataKey, dataKeyOf, type Place, seal, unseal } from './sealing.ts';

const key: DataKey = { id: 'dk_1', secret: systemRandom.bytes(32) };
const place: Place = { table: 'private_keys', column: 'sealed', id: 'kid-1' };
const text = 'a private key 🦊';

describe('a sealed text', () => {
  test('opens where it was sealed, names its version and its data key, and is never twice the same', () => {
    const [one, two] = [seal(key, place, text, systemRandom), seal(key, place, text, systemRandom)];
    expect(one).toMatch(/^v1\.dk_1\.[\w-]{16}\.[\w-]+$/);
    expect(dataKeyOf(one)).toBe('dk_1');
    expect(unseal(key, place, one)).toBe(text);
    expect(one).not.toBe(two);
    expect(one).not.toContain('private');
    expect(unseal(key, place, seal(key, place, '', systemRandom))).toBe('');
  });

  test.each<[string, DataKey, Place]>([
    ['another row', key, { ...place, id: 'kid-2' }],
    ['another column', key, { ...place, column: 'other' }],
    ['another table', key, { ...place, table: 'other' }],
    ['another data key of the same name', { ...key, secret: systemRandom.bytes(32) }, place],
    ['another data key', { ...key, id: 'dk_2' }, place],
    ['a data key that is no key', { ...key, secret: Buffer.alloc(5) }, place],
  ])('does not open for %s', (_, otherKey, otherPlace) => {
    expect(unseal(otherKey, otherPlace, seal(key, place, text, systemRandom))).toBeUndefined();
  });

  test('does not open when any character of it has changed', () => {
    const sealed = seal(key, place, text, systemRandom);
    for (let index = 0; index < sealed.length; index++) {
      const other = sealed[index] === 'A' ? 'B' : 'A';
      const changed = sealed.slice(0, index) + other + sealed.slice(index + 1);
      expect(unseal(key, place, changed), `at ${index}`).toBeUndefined();
    }
    for (const broken of ['', 'v1', 'v2.dk_1.a.b', `${sealed}.x`, sealed.slice(0, -1), 'v1.dk_1.!.!']) {
      expect(unseal(key, place, broken)).toBeUndefined();
    }
    expect(dataKeyOf('v2.dk_1.a.b')).toBeUndefined();
  });
});
