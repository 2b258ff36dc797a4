import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { parseForm, parseQuery } from './form.ts';

const text = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => value.replaceAll('\0', ''));
const pairs = fc.array(fc.tuple(text, text), { maxLength: 100 });

function failureOf(run: () => unknown): Failure {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('forms', () => {
  it('read what URLSearchParams writes, in order', () => {
    fc.assert(
      fc.property(pairs, (given) => {
        const params = parseForm(Buffer.from(new URLSearchParams(given).toString()));
        const names = [...new Set(given.map(([name]) => name))];
        for (const name of names) {
          const values = given.filter(([other]) => other === name).map(([, value]) => value);
          expect(params.all(name)).toEqual(values.filter((value) => value !== ''));
          expect(params.get(name)).toBe(values[0] || undefined);
        }
      }),
    );
  });

  it('agree with URLSearchParams wherever they accept', () => {
    const raw = fc.string({
      unit: fc.constantFrom('a', 'b', '=', '&', '+', '%', '2', '6', 'é', '%20', '%3D', '%c3%a9'),
    });
    fc.assert(
      fc.property(raw, (given) => {
        let params: ReturnType<typeof parseQuery>;
        try {
          params = parseQuery(given);
        } catch (error) {
          expect(error).toBeInstanceOf(Failure);
          return;
        }
        const reference = new URLSearchParams(given);
        for (const name of reference.keys()) {
          expect(params.all(name)).toEqual(reference.getAll(name).filter((value) => value !== ''));
        }
      }),
    );
  });

  it('answer random bytes with parameters or a Failure of the caller, nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        try {
          parseForm(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Failure);
          expect((error as Failure).code).toBe('invalid_input');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['bytes that are not UTF-8', Buffer.from([0x61, 0x3d, 0xff]), /UTF-8/],
    ['an overlong encoding', Buffer.from([0x61, 0x3d, 0xc0, 0xaf]), /UTF-8/],
    ['a surrogate', Buffer.from('a=%ed%a0%80'), /%-escape/],
    ['an escape that is not UTF-8', Buffer.from('a=%ff'), /%-escape/],
    ['an escape cut short', Buffer.from('a=%f'), /%-escape/],
    ['an escape that is not hex', Buffer.from('%zz=1'), /%-escape/],
    ['U+0000', Buffer.from('a=%00'), /U\+0000/],
    ['more than 100 parameters', Buffer.from('a=1&'.repeat(101)), /100 parameters/],
  ])('refuse %s', (_what, bytes, sentence) => {
    const failure = failureOf(() => parseForm(bytes));
    expect(failure.code).toBe('invalid_input');
    expect(failure.message).toMatch(sentence);
  });

  it('take 100 parameters', () => {
    expect(parseForm(Buffer.from(Array(100).fill('a=1').join('&'))).all('a')).toHaveLength(100);
  });

  it('name the parameter that came twice, so that endpoints can refuse it', () => {
    const params = parseQuery('scope=a&resource=x&resource=y&code=1&code=2');
    expect(params.repeated(['resource'])).toBe('code');
    expect(params.repeated(['resource', 'code'])).toBeUndefined();
  });
});
