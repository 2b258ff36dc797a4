import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ColumnShape } from '../sql/tables.ts';
import { CopiedLines, copyText } from './copied-lines.ts';

const columns: readonly ColumnShape[] = [
  { name: 'id', type: 'text' },
  { name: 'at', type: 'bigint' },
  { name: 'note_json', type: 'text' },
];

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }).map((value) => value.replaceAll('\0', '')),
  fc.constantFrom(
    '',
    'null',
    '"',
    '\\',
    '\\"',
    '",',
    '\n',
    '\r\n\t\b\f\v',
    '\u0001\u001f\u007f',
    '\\.',
    '{}',
    '🦊',
  ),
);
const row = fc.tuple(text, fc.option(fc.maxSafeInteger()), fc.option(text));
type Row = readonly [string, number | null, string | null];

/** COPY of PostgreSQL, as its manual says of `force_quote` and `escape '\'`. */
function copied(rows: readonly Row[]): Buffer {
  const value = (one: string | number | null) =>
    typeof one === 'string' ? `"${one.replace(/["\\]/g, '\\$&')}"` : String(one);
  return Buffer.from(rows.map((one) => `${one.map(value).join(',')}\n`).join(''));
}

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const length of lengths) {
    pieces.push(bytes.subarray(from, from + length));
    from += length;
  }
  return [...pieces, bytes.subarray(from)];
}

describe('the lines of a table that is copied', () => {
  it('are those of JSON.stringify, wherever the pieces are cut, in pages of whole lines', () => {
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 30 }),
        fc.array(fc.nat({ max: 50 })),
        fc.integer({ min: 1, max: 500 }),
        (rows, cuts, page) => {
          const lines = new CopiedLines({ columns }, page);
          const pages = [...cut(copied(rows), cuts).map((piece) => lines.add(piece)), lines.end()];
          const made = pages.filter((one) => one !== undefined);
          const expected = rows.map(([id, at, note_json]) => `${JSON.stringify({ id, at, note_json })}\n`);
          expect(made.map((one) => Buffer.from(one.lines).toString()).join('')).toBe(expected.join(''));
          let from = 0;
          for (const one of made) {
            expect(Buffer.from(one.lines).toString()).toBe(expected.slice(from, from + one.rows).join(''));
            from += one.rows;
          }
          for (const one of made.slice(0, -1)) expect(one.lines.byteLength).toBeGreaterThanOrEqual(page);
        },
      ),
    );
  });

  it('are not taken for whole when the copy ends within a row, or has other columns', () => {
    const bytes = copied([['a', 1, 'b']]);
    for (const length of [1, 5, bytes.length - 1]) {
      const lines = new CopiedLines({ columns }, 10);
      lines.add(bytes.subarray(0, length));
      expect(() => lines.end()).toThrow('within a row');
    }
    const lines = new CopiedLines({ columns: columns.slice(0, 2) }, 10);
    expect(() => lines.add(bytes)).toThrow('more columns');
    const short = new CopiedLines({ columns: [...columns, { name: 'more', type: 'text' }] }, 10);
    expect(() => short.add(bytes)).toThrow('fewer columns');
  });

  it('are asked for with what tells a text from a number, and from nothing', () => {
    expect(copyText({ columns }, 'select 1')).toBe(
      "copy (select 1) to stdout with (format csv, escape '\\', null 'null', force_quote (id, note_json))",
    );
    expect(copyText({ columns: columns.slice(1, 2) }, 'select 1')).toBe(
      "copy (select 1) to stdout with (format csv, escape '\\', null 'null')",
    );
  });
});
