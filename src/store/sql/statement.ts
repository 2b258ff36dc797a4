import {
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { Tables } from '../records.ts';

export type Engine = 'sqlite' | 'postgres';
export type Builder = Kysely<Tables>;

/** A value that a statement leaves open; it takes the place of the value while the text is compiled. */
class Parameter {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** SQL text and, for each placeholder in order, the input it is bound to or the constant it holds. */
export interface CompiledStatement {
  readonly text: string;
  bind(input: object): unknown[];
}

/**
 * One SQL statement, written once with kysely, typed by the tables, compiled once for each engine.
 * `In` names its open values; `Row` is what it returns.
 */
export interface Statement<In extends object, Row> {
  compile(engine: Engine): CompiledStatement;
  /** Only for inference. */
  readonly types?: { input: In; row: Row };
}

/** Builders that only compile: statements are executed by the drivers, by their compiled text. */
const builders: Readonly<Record<Engine, Builder>> = {
  sqlite: new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  }),
  postgres: new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  }),
};

/** `statement<Input>()((db, input) => db.selectFrom(...).where('id', '=', input.id))` */
export function statement<In extends object>() {
  return <Row>(build: (db: Builder, input: In) => Compilable<Row>): Statement<In, Row> => ({
    compile(engine) {
      const open = new Proxy({}, { get: (_, name) => new Parameter(String(name)) }) as In;
      const { sql, parameters } = build(builders[engine], open).compile();
      return { text: sql, bind: (input) => parameters.map((parameter) => resolve(parameter, input)) };
    },
  });
}

function resolve(parameter: unknown, input: object): unknown {
  if (!(parameter instanceof Parameter)) return parameter;
  const value = (input as Record<string, unknown>)[parameter.name];
  if (value === undefined) throw new TypeError(`statement input has no value for "${parameter.name}"`);
  return value;
}

/** `{a: input.a, b: input.b}` for the named columns: the body of an insert. */
export function columns<In extends object, K extends keyof In>(input: In, names: readonly K[]): Pick<In, K> {
  return Object.fromEntries(names.map((name) => [name, input[name]])) as Pick<In, K>;
}
