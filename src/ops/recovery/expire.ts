/** What of the recovery log nobody can use any more goes with the backups that it followed. */
import { headName, listLog, type SegmentName } from '../../archive/log/names.ts';
import { readSegmentHeader, type SegmentReading } from '../../archive/log/segment.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { asFailure } from '../../kernel/errors.ts';

export interface ExpireRequest extends SegmentReading {
  /** ms: no backup that is kept needs what was committed until then. */
  readonly before: number;
  readonly dryRun?: boolean;
}

/**
 * Removes segments that end before that time, from the oldest on, and answers their names. What cannot be believed stays,
 * and so does the newest chain's first segment, which tells of everything that was taken away before.
 * Failures: those of a Shelf.
 */
export async function expireLog(shelf: Shelf, request: ExpireRequest): Promise<readonly string[]> {
  const { signal, dryRun = false } = request;
  const removed: string[] = [];
  const chains = await listLog(shelf, signal ? { signal } : {});
  for (const [index, { chain, segments, hasHead, keys }] of chains.entries()) {
    const isNewest = index === chains.length - 1;
    const gone = await expired(shelf, segments, request, isNewest);
    const names = gone.map(({ name }) => name);
    // A chain of which nothing is left needs no head and no key.
    if (gone.length === segments.length && !isNewest) {
      names.push(...keys, ...(hasHead ? [headName(chain)] : []));
    }
    if (!dryRun) for (const name of names) await shelf.remove(name);
    removed.push(...names);
  }
  return removed;
}

async function expired(
  shelf: Shelf,
  segments: readonly SegmentName[],
  { before, ...reading }: ExpireRequest,
  isNewest: boolean,
): Promise<readonly SegmentName[]> {
  const gone: SegmentName[] = [];
  for (const segment of segments) {
    if (isNewest && segment.last === 0) continue;
    const to = await endOf(shelf, segment, reading);
    if (to === undefined) continue;
    // Those after it end later.
    if (to >= before) break;
    gone.push(segment);
  }
  return gone;
}

/** When the last of what it holds was committed; undefined when it does not say so in a way that can be believed. */
async function endOf(
  shelf: Shelf,
  { name }: SegmentName,
  reading: SegmentReading,
): Promise<number | undefined> {
  try {
    return (await readSegmentHeader(shelf, name, reading)).to;
  } catch (error) {
    const failure = asFailure(error);
    if (failure.code === 'refused' || failure.code === 'not_found') return undefined;
    throw failure;
  }
}
