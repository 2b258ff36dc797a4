/**
 * How rows that have their end in `expires_at` go: a walk along the index on it, in steps that look at no more rows than they
 * are told. Each step is a unit of work, so that a walk may end anywhere and another begin anew.
 */
import type { RawBuilder, sql as raw } from 'kysely';
import type { PurgeLook, PurgePlace, PurgeStep, PurgeWindow } from '../store.ts';
import { type Builder, type Statement, statement } from './statement.ts';
import { type Reader, type ReadVerb, read, type WriteVerb, write } from './verb.ts';

/** Where a walk along an expiry begins. */
const START = { from: Number.MIN_SAFE_INTEGER, skip: 0 };

/** Rows that have their end in `expires_at`, or in another indexed column. */
export interface ExpiringRows {
  readonly table: string;
  readonly key: string;
  readonly end?: string;
  /** What must hold for a row to go, besides that its own time is over. `ended`: what else is over by now. */
  rule?(sql: typeof raw, input: { readonly ended: number }): RawBuilder<boolean>;
}

/** The statements of one kind. They differ in names only, so they are made, not written. */
function statementsOf(rows: string, { table, key, end: column = 'expires_at', rule }: ExpiringRows) {
  // Every one of these tables has an expiry; the kind knows its key.
  const any = table as 'assertion_jtis';
  const id = key as 'id';
  const ends = column as 'expires_at';
  const mayGo = (sql: typeof raw, input: { ended: number }) => rule?.(sql, input) ?? sql<boolean>`1 = 1`;
  const between = (db: Builder, { from, end }: { from: number; end: number }) =>
    db.selectFrom(any).where(ends, '>=', from).where(ends, '<', end);
  const next = (db: Builder, input: Pick<Few, 'from' | 'until' | 'look' | 'skip'>) =>
    db
      .selectFrom(any)
      .select(id)
      .where(ends, '>=', input.from)
      .where(ends, '<=', input.until)
      .orderBy(ends)
      .limit(input.look)
      .offset(input.skip);
  const make = <In extends object, Row>(name: string, build: Statement<In, Row>['build']) =>
    statement<In>(`purge.${name}.${rows}`)(build);
  return {
    /** The expiry of the row that is so many rows ahead. */
    findAhead: make('findAhead', (db: Builder, input: Ahead) =>
      db
        .selectFrom(any)
        .select(`${ends} as expires_at`)
        .where(ends, '>=', input.from)
        .where(ends, '<=', input.until)
        .orderBy(ends)
        .limit(1)
        .offset(input.ahead),
    ),
    // The limit takes nothing away; it tells PostgreSQL that they are few.
    deleteSpan: make('deleteSpan', (db: Builder, input: Span, sql) =>
      db
        .deleteFrom(any)
        .where(
          id,
          'in',
          between(db, input)
            .select(id)
            .where(mayGo(sql, input))
            .limit(input.look)
            .modifyEnd(sql`/*postgres for update skip locked*/`),
        ),
    ),
    deleteFew: make('deleteFew', (db: Builder, input: Few, sql) =>
      db.deleteFrom(any).where(
        id,
        'in',
        db
          .selectFrom(any)
          .select(id)
          .where(id, 'in', next(db, input))
          // PostgreSQL asks this again of a row that somebody has changed meanwhile, as it does not ask what was picked.
          .where(sql<number>`${sql.ref(ends)} + 0`, '<=', input.until)
          .where(mayGo(sql, input))
          .modifyEnd(sql`/*postgres for update skip locked*/`),
      ),
    ),
    countSpan: make('countSpan', (db: Builder, input: Span, sql) =>
      between(db, input).select(counts(sql, ends, mayGo(sql, input))),
    ),
    countFew: make('countFew', (db: Builder, input: Few, sql) =>
      db
        .selectFrom(any)
        .where(id, 'in', next(db, input))
        .select(counts(sql, ends, mayGo(sql, input))),
    ),
  };
}

interface Ahead {
  readonly from: number;
  readonly until: number;
  readonly ahead: number;
}
interface Span {
  readonly from: number;
  readonly end: number;
  readonly look: number;
  readonly ended: number;
}
interface Few extends Omit<Span, 'end'> {
  readonly until: number;
  readonly skip: number;
}

function counts(sql: typeof raw, ends: string, mayGo: RawBuilder<boolean>) {
  return [
    sql<number>`count(*)`.as('looked'),
    sql<number | null>`sum(case when ${mayGo} then 1 else 0 end)`.as('ripe'),
    sql<number | null>`min(case when ${mayGo} then ${sql.ref(ends)} end)`.as('oldest'),
  ];
}

/** The rows that a step is about: from here up to there, or so many. */
type Part =
  | { readonly end: number; readonly next: PurgePlace | null }
  /**
   * More rows than a step may look at have the same end: they are counted off in the order of the index. (PostgreSQL may sort
   * a small table instead, and pass a row over; a later walk, in steps that are larger than such a table, takes it.)
   */
  | { readonly few: { readonly from: number; readonly skip: number }; readonly next: number | null };

async function partOf(
  db: Reader,
  findAhead: Statement<Ahead, { expires_at: number }>,
  { place, look, until }: PurgeWindow,
): Promise<Part & { readonly from: number }> {
  const { from, skip } = (place ?? START) as { from: number; skip: number };
  const ahead = await db.first(findAhead, { from, until, ahead: skip + look });
  const follows = ahead?.expires_at ?? null;
  if (skip === 0 && follows !== from) {
    const next = follows === null ? null : { from: follows, skip: 0 };
    return { from, end: follows ?? until + 1, next };
  }
  return { from, few: { from, skip }, next: follows };
}

/** Where a walk goes on after rows that were counted off, some of which are gone now. */
function placeAfter(from: number, next: number | null, skipped: number): PurgePlace | null {
  if (next === null) return null;
  return next === from ? { from, skip: skipped } : { from: next, skip: 0 };
}

/** The two verbs of one kind of rows. */
export function walkExpiry(rows: string, kind: ExpiringRows): { sweep: PurgeVerb; look: PurgeLookVerb } {
  const statements = statementsOf(rows, kind);
  const sweep: PurgeVerb = write((db, input) =>
    timed(async () => {
      const part = await partOf(db, statements.findAhead, input);
      if ('end' in part) {
        return { gone: await db.run(statements.deleteSpan, { ...input, ...part }), next: part.next };
      }
      const gone = await db.run(statements.deleteFew, { ...input, ...part.few });
      return { gone, next: placeAfter(part.from, part.next, part.few.skip + input.look - gone) };
    }),
  );
  const look: PurgeLookVerb = read(async (db, input) => {
    const part = await partOf(db, statements.findAhead, input);
    const found =
      'end' in part
        ? await db.first(statements.countSpan, { ...input, ...part })
        : await db.first(statements.countFew, { ...input, ...part.few });
    const next = 'end' in part ? part.next : placeAfter(part.from, part.next, part.few.skip + input.look);
    const { looked, ripe, oldest } = found as Counted;
    return { looked, ripe: ripe ?? 0, oldest, next };
  });
  return { sweep, look };
}

interface Counted {
  readonly looked: number;
  readonly ripe: number | null;
  readonly oldest: number | null;
}

export type PurgeVerb = WriteVerb<PurgeWindow, PurgeStep>;
export type PurgeLookVerb = ReadVerb<PurgeWindow, PurgeLook>;

/** How long the step held others up, whatever it had to wait for itself. */
export async function timed(step: () => Promise<Omit<PurgeStep, 'worked'>>): Promise<PurgeStep> {
  const began = performance.now();
  const done = await step();
  return { ...done, worked: performance.now() - began };
}
