import { expect, test } from 'vitest';
import { readKind, readThings } from './thing.ts';

test.each<[string, readonly [string, string][]]>([
  ['user:usr_1', [['user', 'usr_1']]],
  [
    'user:usr_1, client:cli_2',
    [
      ['user', 'usr_1'],
      ['client', 'cli_2'],
    ],
  ],
  ['client:a,client:a', [['client', 'a']]],
  ['resource:https://a.example/x?y=1,2', [['resource', 'https://a.example/x?y=1,2']]],
  ['resource:https://a.example/,https://b.example/', [['resource', 'https://a.example/,https://b.example/']]],
  [
    'resource:urn:a:b,user:eve@example.com',
    [
      ['resource', 'urn:a:b'],
      ['user', 'eve@example.com'],
    ],
  ],
])('%s names these things', (typed, things) => {
  expect(readThings(typed).map(({ kind, id }) => [kind, id])).toEqual(things);
});

test.each(['', 'usr_1', 'user:', ',', 'organisation:org_1', 'user:a,', 'https://a.example/'])(
  '"%s" is refused with the kinds there are',
  (typed) => {
    expect(() => readThings(typed)).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        hint: expect.stringContaining('user, client, resource'),
      }),
    );
  },
);

test('no more than a hundred at once', () => {
  const many = (count: number) => Array.from({ length: count }, (_, n) => `user:u${n}`).join(',');
  expect(readThings(many(100))).toHaveLength(100);
  expect(() => readThings(many(101))).toThrow('At most 100');
});

test('organisations are answered with the kinds there are', () => {
  expect(readKind('client')).toBe('client');
  expect(() => readKind('organisation')).toThrow(expect.objectContaining({ code: 'invalid_input' }));
});
