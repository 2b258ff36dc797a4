import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatScope,
  intersectScopes,
  parseScope,
  scopeTokens,
  scopeWithin,
  subtractScopes,
} from './scopes.ts';

const token = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,8}$/);
const scope = fc.array(token, { maxLength: 6 }).map(formatScope);

describe('the syntax of a scope (RFC 6749 section 3.3)', () => {
  test('tokens with one space between, each kept once, in the order given', () => {
    expect(parseScope('b a b')).toEqual(['b', 'a']);
    expect(parseScope('')).toEqual([]);
  });

  test.each(['a  b', ' a', 'a ', 'a\tb', 'a"b', 'a\\b', 'é', 'a\u0000', 'a\nb'])(
    '%j is not a scope',
    (text) => {
      expect(parseScope(text)).toBeUndefined();
    },
  );

  test('whatever the text, what is read is written back as the same set', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const tokens = parseScope(text);
        if (tokens === undefined) return;
        expect(parseScope(formatScope(tokens))).toEqual(tokens);
        expect(new Set(text.split(' ').filter((part) => part !== ''))).toEqual(new Set(tokens));
      }),
    );
  });
});

describe('the algebra of scopes', () => {
  test('an intersection lies within both, and holds all that lies within both', () => {
    fc.assert(
      fc.property(scope, scope, (a, b) => {
        const both = intersectScopes(a, b);
        expect(scopeWithin(both, a) && scopeWithin(both, b)).toBe(true);
        for (const one of scopeTokens(a))
          expect(scopeTokens(both).includes(one)).toBe(scopeTokens(b).includes(one));
      }),
    );
  });

  test('a difference and an intersection are the whole, and share nothing', () => {
    fc.assert(
      fc.property(scope, scope, (a, b) => {
        const left = subtractScopes(a, b);
        const both = intersectScopes(a, b);
        expect(new Set([...scopeTokens(left), ...scopeTokens(both)])).toEqual(new Set(scopeTokens(a)));
        expect(intersectScopes(left, both)).toBe('');
      }),
    );
  });

  test('within is an order: reflexive, transitive, and the empty scope is below all', () => {
    fc.assert(
      fc.property(scope, scope, scope, (a, b, c) => {
        expect(scopeWithin(a, a) && scopeWithin('', a)).toBe(true);
        if (scopeWithin(a, b) && scopeWithin(b, c)) expect(scopeWithin(a, c)).toBe(true);
        if (a !== '') expect(scopeWithin(a, '')).toBe(false);
      }),
    );
  });
});
