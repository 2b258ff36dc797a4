// Owns the question whether a program of an older schema version can go on working on a newer schema: each statement that
// it runs is run, with values that could be there, and undone.

import { type CompiledText, forEngine } from '../../src/store/sql/compiled.ts';
import type { FreshStorage } from '../setup/engines.ts';
import { openSession, type Session } from './database.ts';

interface Column {
  readonly table: string;
  readonly name: string;
  /** A value that a check or a foreign key allows. */
  readonly sample: unknown;
}

/** Which of the statements fail, and why: `clients.create: column "x" of relation "clients" does not exist`. */
export async function brokenStatements(
  fresh: FreshStorage,
  statements: Readonly<Record<string, CompiledText>>,
): Promise<readonly string[]> {
  await using session = await openSession(fresh);
  const columns = await readColumns(session, fresh.driver);
  const broken: string[] = [];
  for (const [name, compiled] of Object.entries(statements)) {
    const problem = await tryOut(session, compiled, fresh.driver, columns);
    if (problem !== undefined) broken.push(`${name}: ${problem}`);
  }
  return broken;
}

async function tryOut(
  session: Session,
  compiled: CompiledText,
  engine: FreshStorage['driver'],
  columns: readonly Column[],
): Promise<string | undefined> {
  const { text, bind } = forEngine(compiled, engine);
  const table = /^(?:insert into|update|delete from|select .*? from) "(\w+)"/.exec(text)?.[1];
  const names = compiled.values.filter((value) => typeof value === 'string');
  const input = Object.fromEntries(
    names.map((name, place) => [name, plausible(name, place, table, columns)]),
  );
  await session.all('begin');
  try {
    await session.all(text, bind(input));
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    // The row is there already: everything about it was right but its novelty, which is looked at last.
    return /unique constraint/i.test(message) ? undefined : message;
  } finally {
    await session.all('rollback');
  }
}

/**
 * A word that a check or a foreign key allows, or else digits, which no row has: both engines take them for a number where
 * they want one, and for a text where they want that.
 */
function plausible(
  name: string,
  place: number,
  table: string | undefined,
  columns: readonly Column[],
): unknown {
  const own = columns.find((column) => column.table === table && column.name === name);
  const column = own ?? columns.find((other) => other.name === name && other.sample !== undefined);
  return column?.sample ?? String(1_950_000_000_000 + place);
}

/** From the schema that the statements were written for: a column that has gone is not asked for. */
async function readColumns(session: Session, engine: FreshStorage['driver']): Promise<readonly Column[]> {
  const found = await session.all(engine === 'sqlite' ? SQLITE_COLUMNS : POSTGRES_COLUMNS);
  return found.map(({ table, name, parent, parent_key, definition }) => {
    const [, allowed] =
      new RegExp(`\\b${name}\\b\\)* (?:in|= ANY) \\(+(?:ARRAY\\[)?'(\\w+)'`, 'i').exec(String(definition)) ??
      [];
    const tied = parent ? `${parent}-${parent_key ?? 'id'}-0` : undefined;
    return {
      table: String(table),
      name: String(name),
      sample: allowed ?? tied,
    };
  });
}

const SQLITE_COLUMNS = `select t.name as "table", c.name, k."table" as parent, k."to" as parent_key, t.sql as definition
  from sqlite_schema t join pragma_table_info(t.name) c left join pragma_foreign_key_list(t.name) k on k."from" = c.name
  where t.type = 'table'`;

const POSTGRES_COLUMNS = `select c.relname as "table", a.attname as name,
    (select p.relname from pg_constraint k join pg_class p on p.oid = k.confrelid
      where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum] limit 1) as parent,
    (select t.attname from pg_constraint k join pg_attribute t on t.attrelid = k.confrelid and t.attnum = k.confkey[1]
      where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum] limit 1) as parent_key,
    (select string_agg(pg_get_constraintdef(k.oid), ' ') from pg_constraint k
      where k.conrelid = c.oid and k.contype = 'c') as definition
  from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = current_schema()
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relkind = 'r'`;
