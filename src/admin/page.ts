import { z } from 'zod';
import type { Params } from '../http/params.ts';
import { Failure } from '../kernel/errors.ts';

const DEFAULT_LIMIT = 50;
const LARGEST_LIMIT = 500;

/** `?limit=`: how many entries of a list to answer. */
export function readLimit(query: Params): number {
  const text = query.get('limit');
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= LARGEST_LIMIT) return limit;
  throw new Failure(
    'invalid_input',
    `The parameter limit must be a whole number from 1 to ${LARGEST_LIMIT}.`,
  );
}

/** One page of a list in id order; `next` goes into `?after=` for the following page, null on the last. */
export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** Reads one more than asked for, to know whether another page follows. */
export async function listPage<Row extends { readonly id: string }, Item>(
  query: Params,
  read: (page: { after: string; limit: number }) => Promise<readonly Row[]>,
  show: (row: Row) => Item,
): Promise<Listed<Item>> {
  const limit = readLimit(query);
  const rows = await read({ after: query.get('after') ?? '', limit: limit + 1 });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items: items.map(show), next: rows.length > limit && last ? last.id : null };
}

/** `if_absent: true` on a creation: answer 200 with what is there already instead of failing. */
export const ifAbsent = z.boolean().optional();
