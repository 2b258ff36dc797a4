import type { Fill, Migration } from './migration.ts';

/** A statement of a step, with what has to be known about it before it runs. */
export type Change =
  | {
      readonly kind: 'create table';
      readonly table: string;
      readonly text: string;
      readonly refersTo: readonly string[];
    }
  | { readonly kind: 'add column'; readonly table: string; readonly column: string; readonly text: string }
  | { readonly kind: 'write rows'; readonly table: string; readonly text: string }
  | { readonly kind: 'drop'; readonly table: string; readonly text: string }
  | CreateIndex
  | { readonly kind: 'fill'; readonly table: string; readonly fill: Fill };

export interface CreateIndex {
  readonly kind: 'create index';
  readonly table: string;
  readonly index: string;
  readonly text: string;
}

const CREATE_TABLE = /^create table (\w+) \(/;
const CREATE_INDEX = /^create (?:unique )?index (\w+) on (\w+) \(/;
const ADD_COLUMN = /^alter table (\w+) add column (\w+) /;
const WRITE_ROWS = /^(?:insert into|update|delete from) (\w+)\s/;
const DROP = /^(?:drop table (\w+)$|alter table (\w+) drop column \w+$)/;
const REFERENCE = /\breferences (\w+)/g;

/**
 * The statements of a step, understood.
 * @throws TypeError when one has a shape that nobody has thought about, or the step mixes what must not be mixed
 */
export function changesOf(migration: Migration): readonly Change[] {
  const changes = migration.statements.map(understand);
  const online = changes.filter((change) => isOnline(change, changes));
  if (online.length > 0 && online.length < changes.length) {
    throw new TypeError(
      `step ${migration.version} (${migration.name}) mixes what runs in one transaction with what must not: ` +
        'give fills and indexes on tables of earlier steps a step of their own',
    );
  }
  return changes;
}

/** Does the step run beside writers, in pieces that can each be repeated, instead of in one transaction? */
export function runsOnline(changes: readonly Change[]): boolean {
  return changes.some((change) => isOnline(change, changes));
}

/** The tables that a step makes. */
export function tablesMadeBy(changes: readonly Change[]): readonly string[] {
  return changes.flatMap((change) => (change.kind === 'create table' ? [change.table] : []));
}

function isOnline(change: Change, all: readonly Change[]): boolean {
  if (change.kind === 'fill') return true;
  return change.kind === 'create index' && !tablesMadeBy(all).includes(change.table);
}

function understand(statement: string | Fill): Change {
  if (typeof statement !== 'string') return { kind: 'fill', table: statement.fill, fill: statement };
  const text = statement;
  const [, madeTable] = CREATE_TABLE.exec(text) ?? [];
  if (madeTable !== undefined) {
    const refersTo = Array.from(text.matchAll(REFERENCE), ([, table = '']) => table);
    return {
      kind: 'create table',
      table: madeTable,
      text,
      refersTo: refersTo.filter((table) => table !== madeTable),
    };
  }
  const [, index, indexed] = CREATE_INDEX.exec(text) ?? [];
  if (index !== undefined && indexed !== undefined)
    return { kind: 'create index', table: indexed, index, text };
  const [, widened, column] = ADD_COLUMN.exec(text) ?? [];
  if (widened !== undefined && / not null\b/.test(text) && !/ default /.test(text)) {
    throw new TypeError(
      `a migration adds a column that needs a value that no running program gives: ${text}`,
    );
  }
  if (widened !== undefined && column !== undefined)
    return { kind: 'add column', table: widened, column, text };
  const [, written] = WRITE_ROWS.exec(text) ?? [];
  if (written !== undefined) return { kind: 'write rows', table: written, text };
  const [, dropped, narrowed] = DROP.exec(text) ?? [];
  const less = dropped ?? narrowed;
  if (less !== undefined) return { kind: 'drop', table: less, text };
  throw new TypeError(
    `a migration has a statement of a shape that change.ts does not know: ${text.slice(0, 80)}`,
  );
}
