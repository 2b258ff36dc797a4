import type { Compilable, Kysely, sql as raw } from 'kysely';
import type { Tables } from '../records.ts';

export type Engine = 'sqlite' | 'postgres';
export type Builder = Kysely<Tables>;
type Raw = typeof raw;

/**
 * One SQL statement, written with kysely and typed by the tables. `In` names its open values; `Row` is what it returns.
 * `build` runs when the project is built, never in the product: what it compiles to is kept under `name` in
 * compiled-statements.json, which tools/compile-statements.ts writes and a test holds current.
 */
export interface Statement<In extends object, Row> {
  readonly name: string;
  build(db: Builder, input: In, sql: Raw): Compilable<Row>;
}

/** `statement<Input>('clients.find')((db, input) => db.selectFrom(...).where('id', '=', input.id))` */
export function statement<In extends object>(name: string) {
  return <Row>(build: Statement<In, Row>['build']): Statement<In, Row> => ({ name, build });
}

/** `{a: input.a, b: input.b}` for the named columns: the body of an insert. */
export function columns<In extends object, K extends keyof In>(input: In, names: readonly K[]): Pick<In, K> {
  return Object.fromEntries(names.map((name) => [name, input[name]])) as Pick<In, K>;
}
