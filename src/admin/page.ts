import { z } from 'zod';
import type { Params } from '../http/params.ts';
import { Failure } from '../kernel/errors.ts';

const DEFAULT_LIMIT = 50;
const LARGEST_LIMIT = 500;

/** `?limit=`: how many entries of a list to answer. */
function readLimit(query: Params): number {
  const text = query.get('limit');
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= LARGEST_LIMIT) return limit;
  throw new Failure(
    'invalid_input',
    `The parameter limit must be a whole number from 1 to ${LARGEST_LIMIT}.`,
  );
}

/** One page of a list; `next` goes into `?after=` for the following page, null on the last. */
interface Listed<Item, Cursor> {
  readonly items: readonly Item[];
  readonly next: Cursor | null;
}

/** How a list is read, in the order of its cursors. */
interface Listing<Row, Item, Cursor> {
  readonly after: Cursor;
  read(page: { after: Cursor; limit: number }): Promise<readonly Row[]>;
  cursorOf(row: Row): Cursor;
  show(row: Row): Item;
}

/** Reads one more than asked for, to know whether another page follows. */
export async function listPage<Row, Item, Cursor>(
  query: Params,
  { after, read, cursorOf, show }: Listing<Row, Item, Cursor>,
): Promise<Listed<Item, Cursor>> {
  const limit = readLimit(query);
  const rows = await read({ after, limit: limit + 1 });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next = rows.length > limit && last !== undefined ? cursorOf(last) : null;
  return { items: page.map((row) => show(row)), next };
}

/** The cursors of a list in id order. */
export function byId(query: Params) {
  return { after: query.get('after') ?? '', cursorOf: ({ id }: { readonly id: string }) => id };
}

/** `if_absent: true` on a creation: answer 200 with what is there already instead of failing. */
export const ifAbsent = z.boolean().optional();
