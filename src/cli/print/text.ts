import { styleText } from 'node:util';
import type { Failure } from '../../kernel/errors.ts';
import type { Column, Printer } from './printer.ts';

type Style = Parameters<typeof styleText>[0];

/** Writes for people; `colour` only where a terminal shows it and nobody has set NO_COLOR. */
export function textPrinter(
  out: NodeJS.WritableStream,
  err: NodeJS.WritableStream,
  colour: { readonly out: boolean; readonly err: boolean },
): Printer {
  const paint = (on: boolean, style: Style, text: string) =>
    on ? styleText(style, text, { validateStream: false }) : text;
  const line = (text: string) => {
    out.write(`${text}\n`);
  };
  return {
    record(value, headline, fields = []) {
      line(paint(colour.out, 'bold', headline));
      const width = Math.max(0, ...fields.map((field) => field.title.length));
      for (const field of fields) line(`  ${field.title.padEnd(width)}  ${field.text(value)}`);
    },
    list(rows, columns, whenEmpty) {
      if (rows.length === 0) {
        line(whenEmpty);
        return;
      }
      const [head = '', ...body] = alignedTable(rows, columns);
      line(paint(colour.out, 'bold', head));
      for (const text of body) line(text);
    },
    item(_, text) {
      if (text !== null) line(text);
    },
    document: (_, text) => line(text.trimEnd()),
    next(sentence, commandLine) {
      line(sentence);
      if (commandLine) line(`  ${paint(colour.out, 'cyan', commandLine)}`);
    },
    failure(failure: Failure) {
      err.write(`${paint(colour.err, 'red', 'Error:')} ${failure.message}\n`);
      const why = reason(failure);
      if (why) err.write(`  Why:  ${indent(why)}\n`);
      if (failure.hint) err.write(`  Next: ${indent(failure.hint)}\n`);
    },
  };
}

/** The head and one line a row, columns two spaces apart. */
function alignedTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): readonly string[] {
  const cells = [
    columns.map((column) => column.title.toUpperCase()),
    ...rows.map((row) => columns.map((column) => column.text(row))),
  ];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)));
  return cells.map((line) =>
    line
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Of our own mistakes everything that helps to find them. */
function reason({ code, cause, detail }: Failure): string | undefined {
  return code === 'internal' && cause instanceof Error ? cause.stack : detail;
}

function indent(text: string): string {
  return text.replaceAll('\n', '\n        ');
}
