import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  anything,
  compileStatement,
  isCurrent,
  statementsOfVerbs,
} from '../../../tools/compile-statements.ts';
import { compiled, forEngine } from './compiled.ts';
import { type Engine, type Statement, statement } from './statement.ts';
import { verbs } from './verbs.ts';

const ENGINES: readonly Engine[] = ['sqlite', 'postgres'];

const rename = statement<{ id: string; name: string; now: number }>('test.rename')((db, { id, name, now }) =>
  db
    .updateTable('clients')
    .set({ name, updated_at: now })
    .where('id', '=', id)
    .where('status', '=', 'active'),
);

describe('a statement', () => {
  it('is written in the words of each engine', () => {
    expect(forEngine(compileStatement(rename), 'sqlite').text).toBe(
      'update "clients" set "name" = ?, "updated_at" = ? where "id" = ? and "status" = ?',
    );
    expect(forEngine(compileStatement(rename), 'postgres').text).toBe(
      'update "clients" set "name" = $1, "updated_at" = $2 where "id" = $3 and "status" = $4',
    );
  });

  it.each(ENGINES)('binds open values by name and keeps constants, on %s', (engine) => {
    const { bind } = forEngine(compileStatement(rename), engine);
    expect(bind({ now: 3, id: 'one', name: 'two', more: 'not asked for' })).toEqual([
      'two',
      3,
      'one',
      'active',
    ]);
    expect(bind({ now: 4, id: 'five', name: '' })).toEqual(['', 4, 'five', 'active']);
  });

  it('refuses an input that lacks a value, by the name of what is missing; null is a value', () => {
    const { bind } = forEngine(compileStatement(rename), 'sqlite');
    expect(() => bind({ id: 'one', name: 'two' })).toThrow('statement input has no value for "now"');
    expect(() => bind({ id: 'one', name: undefined, now: 1 })).toThrow('no value for "name"');
    expect(bind({ id: 'one', name: null, now: 1 })).toEqual([null, 1, 'one', 'active']);
  });

  it('keeps what is for PostgreSQL alone from SQLite', () => {
    const held = statement<object>('test.held')((db, _, sql) =>
      db.selectFrom('clients').select('id').modifyEnd(sql`/*postgres for update skip locked*/`),
    );
    const text = (engine: Engine) => forEngine(compileStatement(held), engine).text.trim();
    expect(text('sqlite')).toBe('select "id" from "clients"');
    expect(text('postgres')).toBe('select "id" from "clients" for update skip locked');
  });

  it('never puts a value into the text', () => {
    const { text, bind } = forEngine(compileStatement(rename), 'postgres');
    bind({ id: `'; drop table clients; --`, name: 'two', now: 1 });
    expect(forEngine(compileStatement(rename), 'postgres').text).toBe(text);
  });
});

describe('every statement of the verbs', async () => {
  const all = await statementsOfVerbs();

  it('is reached by some verb', () => {
    const written = globSync('*.ts', { cwd: import.meta.dirname })
      .filter((file) => !file.endsWith('.test.ts') && file !== 'statement.ts' && file !== 'compiled.ts')
      .map((file) => readFileSync(`${import.meta.dirname}/${file}`, 'utf8'))
      .reduce((count, text) => count + [...text.matchAll(/= statement</g)].length, 0);
    expect(written).toBeGreaterThan(60);
    // Those of purge-walk.ts are made, the same ones for each kind of rows.
    const made = [...all].filter(({ name }) => name.startsWith('purge.'));
    expect(all.size - made.length).toBe(written);
    const own = ['audit_events', 'abandoned_clients'];
    expect(made).toHaveLength(5 * Object.keys(verbs.purge).filter((rows) => !own.includes(rows)).length);
  });

  it.each(ENGINES)('compiles for %s, with a value for each placeholder', (engine) => {
    for (const one of all) {
      const { text, bind } = forEngine(compileStatement(one), engine);
      const placeholders = text.match(engine === 'sqlite' ? /\?/g : /\$\d+/g) ?? [];
      expect(bind(anything()), text).toHaveLength(placeholders.length);
      expect(text).toMatch(/^(select|insert|update|delete) /);
    }
  });

  it('is what the product reads: compiled-statements.json is current (node tools/compile-statements.ts)', async () => {
    expect(await isCurrent()).toBe(true);
  });

  it('is refused by its name when nobody has compiled it', () => {
    expect(() => compiled(rename as Statement<never, unknown>, 'sqlite')).toThrow(
      'test.rename is not compiled',
    );
  });
});
