import { describe, expect, test } from 'vitest';
import type { SnapshotPart } from '../../store/snapshot.ts';
import { compare, type Difference, type Side, type TableShape } from './difference.ts';
import type { Row } from './shown.ts';

type Content = Readonly<Record<string, readonly Row[]>>;

const SHAPES: readonly TableShape[] = [
  { name: 'audit_events', columns: ['sequence', 'action'], key: ['sequence'] },
  { name: 'users', columns: ['id', 'username', 'profile_json'], key: ['id'] },
  { name: 'consents', columns: ['user_id', 'client_id', 'scope'], key: ['user_id', 'client_id'] },
  { name: 'refresh_tokens', columns: ['token_hash', 'spent_at', 'successor_hash'], key: ['token_hash'] },
];

/** Rows of a side in their order, in parts of a few. @param size rows of a part */
function sideOf(content: Content, size = 2, shapes = SHAPES): Side & { readonly ended: () => boolean } {
  let ended = false;
  async function* parts(): AsyncGenerator<SnapshotPart, void> {
    for (const { name, key } of shapes) {
      const rows = (content[name] ?? []).toSorted((a, b) => byKey(key, a, b));
      for (let at = 0; at < rows.length; at += size) {
        const lines = rows.slice(at, at + size).map((row) => `${JSON.stringify(row)}\n`);
        yield { kind: 'rows', table: name, rows: lines.length, bytes: Buffer.from(lines.join('')) };
      }
      yield { kind: 'total', table: name, rows: rows.length, digest: '' };
    }
    ended = true;
  }
  return { tables: shapes, parts: parts(), ended: () => ended };
}

function byKey(key: readonly string[], a: Row, b: Row): number {
  for (const column of key) {
    const [x, y] = [a[column], b[column]];
    const order =
      typeof x === 'number' && typeof y === 'number'
        ? x - y
        : Buffer.compare(Buffer.from(String(x)), Buffer.from(String(y)));
    if (order !== 0) return order;
  }
  return 0;
}

async function differences(first: Content, second: Content, only?: ReadonlySet<string>) {
  const told: Difference[] = [];
  const sides = [sideOf(first), sideOf(second, 3)] as const;
  const report = await compare(...sides, (difference) => void told.push(difference), only);
  expect(sides.map((side) => side.ended())).toEqual([true, true]);
  return { told, report };
}

describe('two databases', () => {
  test('are compared by their keys: integers by value, texts by the bytes of their UTF-8', async () => {
    const events = (...sequences: number[]) => sequences.map((sequence) => ({ sequence, action: 'x' }));
    const users = (...ids: string[]) => ids.map((id) => ({ id, username: id, profile_json: '{}' }));
    // U+FF5E is one UTF-16 unit that comes after the surrogates of U+1F98A, and before it in UTF-8.
    const { told } = await differences(
      { audit_events: events(2, 9, 10), users: users('a', '\uff5e', '🦊') },
      { audit_events: events(2, 10, 11), users: users('A', 'a', '🦊') },
    );
    expect(told.map(({ table, change, key }) => [table, change, ...Object.values(key)])).toEqual([
      ['audit_events', 'removed', 9],
      ['audit_events', 'added', 11],
      ['users', 'added', 'A'],
      ['users', 'removed', '\uff5e'],
    ]);
  });

  test('show what changed, but no secret and no hash, neither as a value nor as a key', async () => {
    const secret = 'c2VjcmV0';
    const { told } = await differences(
      {
        users: [{ id: 'u', username: 'ada', profile_json: `{"a":"${secret}"}` }],
        refresh_tokens: [{ token_hash: secret, spent_at: null, successor_hash: null }],
      },
      {
        users: [{ id: 'u', username: 'eve', profile_json: '{}' }],
        refresh_tokens: [{ token_hash: secret, spent_at: 5, successor_hash: `${secret}2` }],
      },
    );
    expect(told).toEqual([
      {
        table: 'users',
        change: 'changed',
        key: { id: 'u' },
        columns: [{ column: 'username', from: 'ada', to: 'eve' }, { column: 'profile_json' }],
      },
      {
        table: 'refresh_tokens',
        change: 'changed',
        key: { token_hash: expect.stringMatching(/^sha256:[0-9a-f]{12}$/) },
        columns: [{ column: 'spent_at', from: null, to: 5 }, { column: 'successor_hash' }],
      },
    ]);
    expect(JSON.stringify(told)).not.toContain(secret);
  });

  test('of two schemas are compared in what both have, and the rest is named', async () => {
    const older = SHAPES.slice(1).map((table) => ({
      ...table,
      columns: table.columns.filter((column) => column !== 'profile_json'),
    }));
    const first = sideOf({ users: [{ id: 'u', username: 'ada' }] }, 2, older);
    const second = sideOf({
      audit_events: [{ sequence: 1, action: 'x' }],
      users: [{ id: 'u', username: 'ada', profile_json: '{}' }],
    });
    const report = await compare(first, second, () => expect.unreachable('they are the same'));
    expect(report).toEqual({
      tables: [{ table: 'users', added: 0, removed: 0, changed: 0, same: 1 }],
      only_in: {
        first: [],
        second: ['audit_events', 'audit_events.sequence', 'audit_events.action', 'users.profile_json'],
      },
    });
    expect([first.ended(), second.ended()]).toEqual([true, true]);
  });

  test('are read to their ends where only a few tables are asked for', async () => {
    const users = [{ id: 'u', username: 'ada', profile_json: '{}' }];
    const consents = [{ user_id: 'u', client_id: 'c', scope: 'a' }];
    const { told, report } = await differences({ users, consents }, {}, new Set(['consents']));
    expect(told.map(({ table }) => table)).toEqual(['consents']);
    expect(report.tables).toEqual([{ table: 'consents', added: 0, removed: 1, changed: 0, same: 0 }]);
  });

  test('that cannot be read to the end fail, whatever was told before', async () => {
    const broken: Side = {
      tables: SHAPES,
      parts: (async function* (): AsyncGenerator<SnapshotPart, void> {
        yield* sideOf({ users: [{ id: 'u', username: 'ada', profile_json: '{}' }] }).parts;
        throw new Error('the signature is missing');
      })(),
    };
    await expect(compare(sideOf({}), broken, () => undefined)).rejects.toThrow('the signature is missing');
  });
});

test('five hundred pairs by chance differ as a comparison of whole sets says', async () => {
  let seed = 20_261_122;
  const dice = (sides: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 16) % sides;
  };
  const content = (): Content => ({
    audit_events: some(12, (sequence) => ({ sequence, action: `a${dice(2)}` })),
    users: some(9, (n) => ({ id: `u${n}`, username: `n${dice(2)}`, profile_json: '{}' })),
    consents: some(16, (n) => ({ user_id: `u${n % 4}`, client_id: `c${n >> 2}`, scope: `s${dice(2)}` })),
  });
  const some = (of: number, row: (n: number) => Row) =>
    Array.from({ length: of }, (_, n) => n)
      .filter(() => dice(3) > 0)
      .map(row);
  for (let round = 0; round < 500; round++) {
    const [first, second] = [content(), content()];
    const { told } = await differences(first, second);
    const found = told.map(({ table, change, key }) => `${table} ${change} ${Object.values(key).join(' ')}`);
    expect(found.sort(), `round ${round}`).toEqual(expected(first, second).sort());
  }
});

function expected(first: Content, second: Content): string[] {
  return SHAPES.flatMap(({ name, key }) => {
    const keyed = (content: Content) =>
      new Map(
        (content[name] ?? []).map((row) => [key.map((column) => row[column]).join(' '), JSON.stringify(row)]),
      );
    const [a, b] = [keyed(first), keyed(second)];
    return [...new Set([...a.keys(), ...b.keys()])].flatMap((id) => {
      if (a.get(id) === b.get(id)) return [];
      return [`${name} ${!a.has(id) ? 'added' : b.has(id) ? 'changed' : 'removed'} ${id}`];
    });
  });
}
