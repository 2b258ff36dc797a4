import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Engine, type Statement, statement } from './statement.ts';
import { verbs } from './verbs.ts';

const ENGINES: readonly Engine[] = ['sqlite', 'postgres'];

const rename = statement<{ id: string; name: string; now: number }>()((db, { id, name, now }) =>
  db
    .updateTable('clients')
    .set({ name, updated_at: now })
    .where('id', '=', id)
    .where('status', '=', 'active'),
);

describe('a statement', () => {
  it('is written in the words of each engine', () => {
    expect(rename.compile('sqlite').text).toBe(
      'update "clients" set "name" = ?, "updated_at" = ? where "id" = ? and "status" = ?',
    );
    expect(rename.compile('postgres').text).toBe(
      'update "clients" set "name" = $1, "updated_at" = $2 where "id" = $3 and "status" = $4',
    );
  });

  it.each(ENGINES)('binds open values by name and keeps constants, on %s', (engine) => {
    const { bind } = rename.compile(engine);
    expect(bind({ now: 3, id: 'one', name: 'two', more: 'not asked for' })).toEqual([
      'two',
      3,
      'one',
      'active',
    ]);
    expect(bind({ now: 4, id: 'five', name: '' })).toEqual(['', 4, 'five', 'active']);
  });

  it('refuses an input that lacks a value, by the name of what is missing; null is a value', () => {
    const { bind } = rename.compile('sqlite');
    expect(() => bind({ id: 'one', name: 'two' })).toThrow('statement input has no value for "now"');
    expect(() => bind({ id: 'one', name: undefined, now: 1 })).toThrow('no value for "name"');
    expect(bind({ id: 'one', name: null, now: 1 })).toEqual([null, 1, 'one', 'active']);
  });

  it('never puts a value into the text', () => {
    const { text, bind } = rename.compile('postgres');
    bind({ id: `'; drop table clients; --`, name: 'two', now: 1 });
    expect(rename.compile('postgres').text).toBe(text);
  });
});

describe('every statement of the verbs', async () => {
  const all = await statementsOfVerbs();

  it('is reached by some verb', () => {
    const written = globSync('*.ts', { cwd: import.meta.dirname })
      .filter((file) => !file.endsWith('.test.ts') && file !== 'statement.ts')
      .map((file) => readFileSync(`${import.meta.dirname}/${file}`, 'utf8'))
      .reduce((count, text) => count + [...text.matchAll(/= statement</g)].length, 0);
    expect(written).toBeGreaterThan(60);
    expect(all.size).toBe(written);
  });

  it.each(ENGINES)('compiles for %s, with a value for each placeholder', (engine) => {
    for (const one of all) {
      const { text, bind } = one.compile(engine);
      const placeholders = text.match(engine === 'sqlite' ? /\?/g : /\$\d+/g) ?? [];
      expect(bind(anything()), text).toHaveLength(placeholders.length);
      expect(text).toMatch(/^(select|insert|update|delete) /);
    }
  });

  it('reads the same on both engines but for the placeholders', () => {
    for (const one of all) {
      const [sqlite, postgres] = ENGINES.map((engine) => one.compile(engine).text.replace(/\$\d+/g, '?'));
      expect(sqlite).toBe(postgres);
    }
  });
});

/** Runs every verb on a database that is not there, down each of its ways, and notes the statements it would run. */
async function statementsOfVerbs(): Promise<Set<Statement<object, unknown>>> {
  const seen = new Set<Statement<object, unknown>>();
  const noted = <T>(one: unknown, answer: T): T => {
    seen.add(one as Statement<object, unknown>);
    return answer;
  };
  const same = anything(() => same);
  const all = Object.values(verbs).flatMap((family) => Object.values<AnyVerb>(family));
  for (const row of [undefined, anything(), same]) {
    for (const changed of [0, 1]) {
      const db = {
        all: (one: unknown) => noted(one, []),
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
function anything(member: () => object = anything): object {
  return new Proxy(() => 1, {
    get: (_, name) => {
      if (name === Symbol.iterator) return () => [member()][Symbol.iterator]();
      if (name === Symbol.toPrimitive) return () => 1;
      return name === 'then' ? undefined : member();
    },
    apply: () => member(),
  });
}
