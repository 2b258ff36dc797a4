import compiledStatements from './compiled-statements.json' with { type: 'json' };
import type { Engine, Statement } from './statement.ts';

/** SQL with `?` for each value; the values in their order: the name of an input, or a constant. */
export interface CompiledText {
  readonly text: string;
  readonly values: readonly (string | { readonly constant: string | number | null })[];
}

/** A statement as an engine takes it. */
export interface CompiledStatement {
  readonly text: string;
  /** The values of the placeholders; throws when the input lacks one. */
  bind(input: object): unknown[];
}

const FOR_POSTGRES = /\/\*postgres (.*?)\*\//g;

const texts: Readonly<Record<string, CompiledText | undefined>> = compiledStatements;

/**
 * The text of a statement for an engine. Both speak the same SQL; they only write placeholders differently, and what stands
 * in a comment that begins with `postgres` is for PostgreSQL: SQLite has one writer and needs no row locks.
 */
export function compiled(statement: Statement<never, unknown>, engine: Engine): CompiledStatement {
  const found = texts[statement.name];
  if (found) return forEngine(found, engine);
  throw new TypeError(
    `the statement ${statement.name} is not compiled; run: node tools/compile-statements.ts`,
  );
}

export function forEngine({ text, values }: CompiledText, engine: Engine): CompiledStatement {
  let count = 0;
  return {
    text:
      engine === 'sqlite'
        ? text.replaceAll(FOR_POSTGRES, '')
        : text.replaceAll(FOR_POSTGRES, '$1').replaceAll('?', () => `$${++count}`),
    bind: (input) =>
      values.map((value) => (typeof value === 'string' ? inputValue(value, input) : value.constant)),
  };
}

function inputValue(name: string, input: object): unknown {
  const value = (input as Record<string, unknown>)[name];
  if (value === undefined) throw new TypeError(`statement input has no value for "${name}"`);
  return value;
}
