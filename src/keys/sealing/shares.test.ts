import { describe, expect, test } from 'vitest';
import { asFailure, type Failure } from '../../kernel/errors.ts';
import { systemRandom } from '../../kernel/random.ts';
import { masterKeyId } from './master-key.ts';
import { combineShares, makeShares, readLines } from './shares.ts';

const secret = systemRandom.bytes(32);
const make = (threshold: number, shares: number, of = secret) =>
  makeShares(of, { threshold, shares, now: 1 }, systemRandom);
const failureOf = (texts: readonly string[]): Promise<Failure> =>
  combineShares(texts).then(() => expect.unreachable('the shares were taken'), asFailure);

describe('recovery shares', () => {
  test('any 3 of 5 rebuild the key, in any order', async () => {
    const { set, texts } = await make(3, 5);
    expect(set).toMatchObject({ threshold: 3, shares: 5, master_key_id: masterKeyId(secret), created_at: 1 });
    for (let a = 0; a < 5; a++) {
      for (let b = 0; b < 5; b++) {
        for (let c = 0; c < 5; c++) {
          if (new Set([a, b, c]).size < 3) continue;
          expect((await combineShares([texts[a]!, texts[b]!, texts[c]!])).secret).toEqual(secret);
        }
      }
    }
    expect((await combineShares(texts)).master_key_id).toBe(masterKeyId(secret));
    for (const text of texts) expect(text).not.toContain(secret.toString('hex').slice(0, 8));
  });

  test('too few are refused, and one given twice counts once', async () => {
    const { texts } = await make(3, 5);
    for (const some of [[], texts.slice(0, 2), [texts[0]!, texts[0]!, texts[1]!]]) {
      expect(await failureOf(some)).toMatchObject({ code: 'invalid_input' });
    }
    expect((await failureOf(texts.slice(0, 2))).message).toBe(
      '2 different shares were given, and 3 are needed.',
    );
  });

  test('a typing error in any place is found, and the share is named', async () => {
    const { texts } = await make(2, 3);
    const [first = '', second = ''] = texts;
    for (let index = 0; index < second.length; index++) {
      if (second[index] === '-') continue;
      const other = second[index] === '7' ? '8' : '7';
      const wrong = second.slice(0, index) + other + second.slice(index + 1);
      expect((await failureOf([first, wrong])).message, `at ${index}`).toMatch(/^Share 2 /);
    }
    for (const wrong of [second.slice(0, -1), `${second}0`, 'hello', second.replace('-', '')]) {
      expect((await failureOf([first, wrong])).message).toMatch(/^Share 2 has a typing error/);
    }
  });

  test('is read as people write: other case, spaces, letters that look like digits', async () => {
    const { texts } = await make(2, 3);
    const written = texts.map((text) => {
      const [prefix = '', ...groups] = text.split('-');
      return `  ${prefix} ${groups.join(' ').toUpperCase().replaceAll('0', 'O').replaceAll('1', 'I')} `;
    });
    expect((await combineShares(written.slice(0, 2))).secret).toEqual(secret);
  });

  test('shares of different sets are told apart, also of the same key', async () => {
    const [one, two] = [await make(2, 3), await make(2, 3)];
    const failure = await failureOf([one.texts[0]!, two.texts[1]!]);
    expect(failure.message).toContain(one.set.id);
    expect(failure.message).toContain(two.set.id);
  });

  test.each([
    [1, 3],
    [4, 3],
    [2, 256],
  ])('%i of %i is refused', async (threshold, shares) => {
    await expect(make(threshold, shares)).rejects.toMatchObject({ code: 'invalid_input' });
  });

  test('lines are read without what is no share', () => {
    expect(readLines('# from Ada\n share1-a \r\n\n share1-b')).toEqual(['share1-a', 'share1-b']);
  });
});
