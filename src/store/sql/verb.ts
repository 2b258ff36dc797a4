import type { Aggregates, Topic } from '../store.ts';
import type { Statement } from './statement.ts';

type Now<T> = T | Promise<T>;

/** What a verb reads with: a connection in a transaction, or a reading connection. SQLite answers at once. */
export interface Reader {
  all<In extends object, Row>(statement: Statement<In, Row>, input: In): Now<Row[]>;
  first<In extends object, Row>(statement: Statement<In, Row>, input: In): Now<Row | undefined>;
}

/** What a verb writes with. Whatever it does is undone when the verb throws. */
export interface Transaction extends Reader {
  /** Runs a statement; how many rows it changed. */
  run<In extends object>(statement: Statement<In, unknown>, input: In): Now<number>;
}

export interface ReadVerb<In, Out> {
  readonly kind: 'read';
  /** One answer may serve all who ask the same at the same moment; none of them changes it. */
  readonly shared: boolean;
  run(db: Reader, input: In): Promise<Out>;
}

export interface WriteVerb<In, Out> {
  readonly kind: 'write';
  run(db: Transaction, input: In): Promise<Out>;
  /** One statement, which is a unit of work by itself: no transaction need be opened around it. */
  readonly single: boolean;
  /** The answer when a unique or foreign key decided the race against this verb; what it did is undone. */
  readonly onConflict: Out | undefined;
  /** Those who watch this topic are told when the verb is on disk. */
  readonly announces?: Topic;
}

export function read<In, Out>(run: (db: Reader, input: In) => Promise<Out>): ReadVerb<In, Out> {
  return { kind: 'read', shared: false, run };
}

/** A read that nearly every request makes, and mostly for the same few rows. */
export function readShared<In, Out>(run: (db: Reader, input: In) => Promise<Out>): ReadVerb<In, Out> {
  return { kind: 'read', shared: true, run };
}

export function write<In, Out, const Lost = never>(
  run: (db: Transaction, input: In) => Promise<Out>,
  onConflict?: Lost,
): WriteVerb<In, Out | Lost> {
  return { kind: 'write', run, single: false, onConflict };
}

/** A verb of one statement; `answer` is told how many rows it changed. For those whose round trips count. */
export function writeOnce<In, Values extends object, Out>(
  statement: Statement<Values, unknown>,
  values: (input: In) => Values,
  answer: (changed: number) => Out,
): WriteVerb<In, Out> {
  const run = async (db: Transaction, input: In) => answer(await db.run(statement, values(input)));
  return { kind: 'write', run, single: true, onConflict: undefined };
}

/** The verb, which tells those who watch the topic; with it, in one unit of work, where they are other processes. */
export function announcing<In, Out>(topic: Topic, verb: WriteVerb<In, Out>): WriteVerb<In, Out> {
  return { ...verb, single: false, announces: topic };
}

type Implementation<Verb> = Verb extends (input: infer In) => Promise<infer Out>
  ? ReadVerb<In, Out> | WriteVerb<In, Out>
  : never;

/** The shape that the SQL of one aggregate must have to stand behind its interface in store.ts. */
export type Verbs<Aggregate> = { readonly [Name in keyof Aggregate]: Implementation<Aggregate[Name]> };

/** The SQL of every aggregate. */
export type Families = { readonly [Name in keyof Aggregates]: Verbs<Aggregates[Name]> };

/** A verb's address, as it travels to the writer thread. */
export interface VerbName {
  readonly family: string;
  readonly verb: string;
}
