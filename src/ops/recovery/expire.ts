/** What of the recovery log nobody can use any more goes with the backups that it followed. */
import { headName, listLog, type SegmentName, withinMerged } from '../../archive/log/names.ts';
import { readSegment, readSegmentHeader, type SegmentReading } from '../../archive/log/segment.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { asFailure } from '../../kernel/errors.ts';

export interface ExpireRequest extends SegmentReading {
  /** ms: no backup that is kept needs what was committed until then. */
  readonly before: number;
  readonly dryRun?: boolean;
}

/**
 * Removes segments that end before that time, from the oldest on, but for the last of them; and small ones that lie within
 * a merged one, where the server may not remove them. Answers their names. What cannot be believed stays, and so does the
 * newest chain's first segment, which tells of everything that was taken away before.
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
    const rest = segments.filter((segment) => !gone.includes(segment));
    names.push(...(await withinWhole(shelf, rest, request)));
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
  // The last of them says when the log goes on from: a backup that is kept may have been made a good while after it.
  if (isNewest || gone.length < segments.length) gone.pop();
  return gone;
}

/** Names of those that nobody needs beside a merged one that is whole. */
async function withinWhole(
  shelf: Shelf,
  segments: readonly SegmentName[],
  reading: SegmentReading,
): Promise<readonly string[]> {
  const within: string[] = [];
  for (const merged of segments.filter(({ isMerged }) => isMerged)) {
    const found = withinMerged([merged, ...segments.filter((segment) => !segment.isMerged)]);
    if (found.length > 0 && (await believed(readSegment(shelf, merged.name, reading))))
      within.push(...found.map(({ name }) => name));
  }
  return [...new Set(within)];
}

/** When the last of what it holds was committed; undefined when it does not say so in a way that can be believed. */
async function endOf(
  shelf: Shelf,
  { name }: SegmentName,
  reading: SegmentReading,
): Promise<number | undefined> {
  return (await believed(readSegmentHeader(shelf, name, reading)))?.to;
}

/** Undefined when it is gone, or is not what it says. */
async function believed<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const failure = asFailure(error);
    if (failure.code === 'refused' || failure.code === 'not_found') return undefined;
    throw failure;
  }
}
