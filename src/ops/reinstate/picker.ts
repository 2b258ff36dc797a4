/** The rows of single things, out of the rows of a whole database as they come by. */
import { Failure } from '../../kernel/errors.ts';
import type { Tables } from '../../store/records.ts';
import type { SnapshotPart } from '../../store/snapshot.ts';
import { linesOf } from './lines.ts';
import type { Thing, ThingKind } from './thing.ts';

/** Tables that things consist of. Those before come by before: parents first, consents after everything they name. */
export type ThingTable = 'users' | 'passwords' | 'clients' | 'client_secrets' | 'resources' | 'consents';

export type PickedRow = {
  readonly [Table in ThingTable]: { readonly table: Table; readonly row: Tables[Table] };
}[ThingTable];

/** A thing that was found, by its id in the database. */
export interface FoundThing {
  readonly kind: ThingKind;
  readonly id: string;
  /** What people call it: a user name, a client's name, a URI. */
  readonly name: string;
}

type Row = Readonly<Record<string, string | number | null>>;

/** By which columns a thing may be named, the surest first; and the one that is its name. */
const ROOTS: Readonly<Record<string, { kind: ThingKind; by: readonly string[]; name: string }>> = {
  users: { kind: 'user', by: ['id', 'username', 'email'], name: 'username' },
  clients: { kind: 'client', by: ['id'], name: 'name' },
  resources: { kind: 'resource', by: ['id', 'uri'], name: 'uri' },
};

/** What hangs on a thing, by the column that points at it. */
const BRANCHES: Readonly<Record<string, Partial<Record<ThingKind, string>>>> = {
  passwords: { user: 'user_id' },
  client_secrets: { client: 'client_id' },
  consents: { user: 'user_id', client: 'client_id' },
};

const REVOCATIONS = 'revocations';

/** The tables that a picker wants to see. */
export const PICKED_TABLES: readonly string[] = [
  ...Object.keys(ROOTS),
  ...Object.keys(BRANCHES),
  REVOCATIONS,
];

interface Candidate {
  readonly thing: Thing;
  readonly row: Row;
  /** The lower, the surer. */
  readonly rank: number;
}

/** For one pass over the rows. */
export class Picker {
  readonly #things: readonly Thing[];
  readonly #found = new Map<Thing, FoundThing>();
  #candidates: Candidate[] = [];
  #seen: string | null = null;

  constructor(things: readonly Thing[]) {
    this.#things = things;
  }

  /** The last revocation that these rows know: empty for none, null where they are older than the table. Once all came by. */
  get seen(): string | null {
    return this.#seen;
  }

  /** Each thing once, in the order in which they were named. Once all came by. Failures: `not_found` for one that is missing. */
  found(): readonly FoundThing[] {
    const found = this.#things.map((thing) => {
      const one = this.#found.get(thing);
      if (one) return one;
      throw new Failure('not_found', `The backup has no ${thing.kind} ${thing.id}.`, {
        hint: 'Try an older or a newer backup: `authserver backup list`. Which things one has that another lacks, `authserver backup diff A B --json` tells.',
      });
    });
    const ids = found.map(({ kind, id }) => `${kind}:${id}`);
    return found.filter((_, at) => ids.indexOf(ids[at] ?? '') === at);
  }

  async *rows(parts: AsyncIterable<SnapshotPart>): AsyncGenerator<PickedRow, void> {
    for await (const part of parts) {
      if (part.table === REVOCATIONS) this.#noteSeen(part);
      else if (part.kind === 'total') yield* this.#settle(part.table);
      else if (part.table in ROOTS) this.#look(part.table, part.bytes);
      else if (part.table in BRANCHES) yield* this.#branches(part.table, part.bytes);
    }
  }

  #noteSeen(part: SnapshotPart): void {
    this.#seen ??= '';
    if (part.kind === 'total') return;
    const last = linesOf(part.bytes).at(-1);
    if (last !== undefined) this.#seen = String((JSON.parse(last) as Row)['id']);
  }

  #look(table: string, bytes: Uint8Array): void {
    const root = ROOTS[table];
    const things = this.#things.filter(({ kind }) => kind === root?.kind);
    for (const row of rowsWith(
      bytes,
      things.flatMap(({ id }) => [id, folded(id)]),
    )) {
      for (const thing of things) {
        const rank =
          root?.by.findIndex((column) => row[column] === (column === 'id' ? thing.id : named(thing))) ?? -1;
        if (rank >= 0) this.#candidates.push({ thing, row, rank });
      }
    }
  }

  /** The table has come by: the surest row of each thing is the one that was meant. */
  *#settle(table: string): Generator<PickedRow, void> {
    const root = ROOTS[table];
    if (!root) return;
    const candidates = this.#candidates.toSorted((a, b) => a.rank - b.rank);
    this.#candidates = [];
    const given = new Set<unknown>();
    for (const { thing, row } of candidates) {
      if (this.#found.has(thing)) continue;
      this.#found.set(thing, { kind: thing.kind, id: String(row['id']), name: String(row[root.name]) });
      if (!given.has(row['id'])) yield { table, row } as unknown as PickedRow;
      given.add(row['id']);
    }
  }

  *#branches(table: string, bytes: Uint8Array): Generator<PickedRow, void> {
    const found = [...this.#found.values()];
    const columns = BRANCHES[table] ?? {};
    for (const row of rowsWith(
      bytes,
      found.map(({ id }) => id),
    )) {
      const hangs = found.some(({ kind, id }) => {
        const column = columns[kind];
        return column !== undefined && row[column] === id;
      });
      if (hangs) yield { table, row } as unknown as PickedRow;
    }
  }
}

/** Names and addresses are kept in lower case; URIs as they are. */
function named({ kind, id }: Thing): string {
  return kind === 'user' ? folded(id) : id;
}

function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/** Rows in which one of the texts is a value: of millions, only those have to be taken apart. */
function* rowsWith(bytes: Uint8Array, texts: readonly string[]): Generator<Row, void> {
  if (texts.length === 0) return;
  const values = texts.map((text) => JSON.stringify(text));
  for (const line of linesOf(bytes)) {
    if (values.some((value) => line.includes(value))) yield JSON.parse(line) as Row;
  }
}
