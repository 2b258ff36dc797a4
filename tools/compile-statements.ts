// Owns src/store/sql/compiled-statements.json: the text of every SQL statement, compiled from its kysely definition. The
// product reads only the text, so that neither a start nor a thread of it pays for the query builder. `--check` says
// whether the file is current.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely';
import type { Tables } from '../src/store/records.ts';
import type { CompiledText } from '../src/store/sql/compiled.ts';
import type { Builder, Engine, Statement } from '../src/store/sql/statement.ts';
import { verbs } from '../src/store/sql/verbs.ts';

const FILE = path.join(import.meta.dirname, '..', 'src', 'store', 'sql', 'compiled-statements.json');

/** A value that a statement leaves open; it takes the place of the value while the text is compiled. */
class Parameter {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** Builders that only compile: the drivers of the product execute. */
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

type AnyStatement = Statement<object, unknown>;

/** Compiles a statement; fails unless both engines read the same text but for the placeholders. */
export function compileStatement<In extends object>(statement: Statement<In, unknown>): CompiledText {
  const [sqlite, postgres] = (['sqlite', 'postgres'] as const).map((engine) => {
    const open = new Proxy({}, { get: (_, name) => new Parameter(String(name)) }) as In;
    return statement.build(builders[engine], open, sql).compile();
  });
  if (!sqlite || sqlite.sql !== postgres?.sql.replace(/\$\d+/g, '?')) {
    throw new Error(`the engines read ${statement.name} differently: ${sqlite?.sql} / ${postgres?.sql}`);
  }
  const values = sqlite.parameters.map((value) =>
    value instanceof Parameter ? value.name : { constant: value as string | number | null },
  );
  return { text: sqlite.sql, values };
}

/** The content of the file: each statement by its name. */
export async function compiledStatements(): Promise<string> {
  const texts: Record<string, CompiledText> = {};
  for (const statement of await statementsOfVerbs()) {
    if (texts[statement.name]) throw new Error(`two statements have the name ${statement.name}`);
    texts[statement.name] = compileStatement(statement);
  }
  const sorted = Object.fromEntries(Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify(sorted, undefined, 2)}\n`;
}

export async function isCurrent(): Promise<boolean> {
  return (await readFile(FILE, 'utf8').catch(() => '')) === (await compiledStatements());
}

/** Runs every verb on a database that is not there, down each of its ways, and notes the statements it would run. */
export async function statementsOfVerbs(): Promise<Set<AnyStatement>> {
  const seen = new Set<AnyStatement>();
  const noted = <T>(one: unknown, answer: T): T => {
    seen.add(one as AnyStatement);
    return answer;
  };
  const same = anything(() => same);
  const all = Object.values(verbs).flatMap((family) => Object.values<AnyVerb>(family));
  for (const row of [undefined, anything(), same]) {
    for (const changed of [0, 1]) {
      const db = {
        all: (one: unknown) => noted(one, row === undefined ? [] : [row]),
        first: (one: unknown) => noted(one, row),
        run: (one: unknown) => noted(one, changed),
      };
      // What a verb makes of such rows is no matter here; that it stops at some is.
      for (const input of [same, {}]) {
        for (const verb of all) await verb.run(db, input).catch(() => undefined);
      }
    }
  }
  return seen;
}

interface AnyVerb {
  run(db: unknown, input: unknown): Promise<unknown>;
}

/** Has every member asked for, and is a list of one of them; `member` makes them, other ones each time unless it is given. */
export function anything(member: () => object = anything): object {
  return new Proxy(() => 1, {
    get: (_, name) => {
      if (name === Symbol.iterator) return () => [member()][Symbol.iterator]();
      if (name === Symbol.toPrimitive) return () => 1;
      return name === 'then' ? undefined : member();
    },
    apply: () => member(),
  });
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) await writeFile(FILE, await compiledStatements());
  else if (!(await isCurrent())) {
    console.error(
      'src/store/sql/compiled-statements.json is not current. Run: node tools/compile-statements.ts',
    );
    process.exitCode = 1;
  }
}
