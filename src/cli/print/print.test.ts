import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { jsonPrinter } from './json.ts';
import { type Column, moment, type Printer } from './printer.ts';
import { textPrinter } from './text.ts';

interface Row {
  readonly name: string;
  readonly size: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'Name', text: ({ name }) => name },
  { title: 'Size', text: ({ size }) => String(size) },
];
const rows: readonly Row[] = [
  { name: 'a', size: 5 },
  { name: 'longer', size: 1000 },
];

/** What a printer writes to standard output and to standard error. */
function written(
  make: (out: PassThrough, err: PassThrough) => Printer,
  use: (printer: Printer) => void,
): { readonly out: string; readonly err: string } {
  const [out, err] = [new PassThrough(), new PassThrough()];
  use(make(out, err));
  return { out: String(out.read() ?? ''), err: String(err.read() ?? '') };
}

const plain = (out: PassThrough, err: PassThrough) => textPrinter(out, err, { out: false, err: false });
const coloured = (out: PassThrough, err: PassThrough) => textPrinter(out, err, { out: true, err: true });

test('a list is an aligned table for people and an object for programs', () => {
  const use = (printer: Printer) => printer.list(rows, columns, 'None.');
  expect(written(plain, use).out).toBe('NAME    SIZE\na       5\nlonger  1000\n');
  expect(JSON.parse(written(jsonPrinter, use).out)).toEqual({ items: rows });
  expect(written(plain, (printer) => printer.list([], columns, 'None.')).out).toBe('None.\n');
});

test('a record is a headline with labelled lines, or the value on one line', () => {
  const use = (printer: Printer) => printer.record({ name: 'a', size: 5 }, 'Made a.', columns);
  expect(written(plain, use).out).toBe('Made a.\n  Name  a\n  Size  5\n');
  expect(written(jsonPrinter, use).out).toBe('{"name":"a","size":5}\n');
});

test('a failure says what, why and what next, on standard error', () => {
  const failure = new Failure('refused', 'It cannot be.', { detail: 'seen\nthere', hint: 'Do this.' });
  const use = (printer: Printer) => printer.failure(failure);
  expect(written(plain, use)).toEqual({
    out: '',
    err: 'Error: It cannot be.\n  Why:  seen\n        there\n  Next: Do this.\n',
  });
  const { out, err } = written(jsonPrinter, use);
  expect(out).toBe('');
  expect(JSON.parse(err)).toEqual({
    error: { code: 'refused', message: 'It cannot be.', detail: 'seen\nthere', hint: 'Do this.' },
  });
});

test('of a mistake of ours everything is shown that helps to find it', () => {
  const { err } = written(plain, (printer) => printer.failure(asFailure(new TypeError('x is no function'))));
  expect(err).toMatch(
    /^Error: Something went wrong on our side\.\n {2}Why: {2}TypeError: x is no function\n +at /,
  );
});

test('what to do next is for people only', () => {
  const use = (printer: Printer) => printer.next('Go on:', 'authserver serve');
  expect(written(plain, use).out).toBe('Go on:\n  authserver serve\n');
  expect(written(jsonPrinter, use).out).toBe('');
});

test('colour is an addition, never the message', () => {
  const use = (printer: Printer) => {
    printer.list(rows, columns, 'None.');
    printer.failure(new Failure('refused', 'No.'));
  };
  const { out, err } = written(coloured, use);
  const escapes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g');
  expect(out).toMatch(escapes);
  expect({ out: out.replace(escapes, ''), err: err.replace(escapes, '') }).toEqual(written(plain, use));
});

test('a moment is UTC, to the second', () => {
  expect(moment(Date.UTC(2026, 2, 1, 12, 30, 5, 999))).toBe('2026-03-01 12:30:05Z');
  expect(moment(null)).toBe('-');
});

test('one of very many is a line for programs, and for people where there is wording', () => {
  const use = (printer: Printer) => {
    printer.item({ n: 1 }, 'one');
    printer.item({ n: 2 }, null);
  };
  expect(written(plain, use).out).toBe('one\n');
  expect(written(jsonPrinter, use).out).toBe('{"n":1}\n{"n":2}\n');
});
