import type { Failure } from '../../kernel/errors.ts';

/** A column of a list, or a labelled line of a record, as people read it. */
export interface Column<Row> {
  readonly title: string;
  text(row: Row): string;
}

/**
 * How a command speaks. Each call carries the value for programs and its wording for people; which of the two is
 * written is not the command's business. Both write results to standard output and failures to standard error.
 */
export interface Printer {
  /** One thing. JSON: the value on one line. Text: the headline, then a line for each field. */
  record<Value extends object>(value: Value, headline: string, fields?: readonly Column<Value>[]): void;
  /** Many things. JSON: `{"items": [...]}` and what else there is. Text: an aligned table, or `whenEmpty`. */
  list<Row extends object>(
    rows: readonly Row[],
    columns: readonly Column<Row>[],
    whenEmpty: string,
    besides?: object,
  ): void;
  /** One of very many, told as it is found. JSON: the value on one line. Text: the line, or nothing for null. */
  item(value: object, line: string | null): void;
  /** Ready-made text beside its value, for what is neither (a YAML document). */
  document(value: object, text: string): void;
  /** What to do next, for people only: a sentence, and a command line where there is one. */
  next(sentence: string, commandLine?: string): void;
  /** What went wrong, why, and what to do next. */
  failure(failure: Failure): void;
}

export function column<Row>(title: string, text: (row: Row) => string): Column<Row> {
  return { title, text };
}

/** An optional value as people read it. */
export function orDash(value: string | null | undefined): string {
  return value || '-';
}

/** `2026-03-01 12:30:05Z`: a moment as people read it; `-` for none. */
export function moment(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return '-';
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

export function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
