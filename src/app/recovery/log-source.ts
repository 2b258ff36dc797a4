/** A staged database taken forward by the recovery log, and what the log knows of revocations. */
import path from 'node:path';
import type { ChainHead } from '../../archive/log/head.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import {
  type LocatedChain,
  LogReader,
  type LogReading,
  type ReadFrames,
} from '../../ops/recovery/log-reader.ts';
import type { LogPosition } from '../../store/change-frame.ts';
import type { Revocation } from '../../store/records.ts';
import { migrateSchema } from '../open-store.ts';

export interface ReplayProgress {
  readonly batches: number;
  /** When the last of them was committed, ms. */
  readonly at: number;
}

export interface Replayed {
  /** Where the database stands now; undefined when it comes from one that was not logged. */
  readonly position: LogPosition | undefined;
  /** How many were applied. */
  readonly batches: number;
  /** The database is as it was then, ms; undefined where the log says nothing of it. */
  readonly reached: number | undefined;
  /** Whatever was committed up to the wanted time, or ever, is in it. */
  readonly complete: boolean;
  readonly faults: readonly string[];
}

/** Batches that are applied in one transaction. */
const TOGETHER = 256;

/**
 * Takes a staged SQLite file forward, from where its own settings say that it stands: before it is migrated to a newer
 * schema, which a chain never spans, and before a store opens it, which ends its chain. Every batch that was committed by
 * `to` (ms) is applied, and none after.
 * Failures: `failed` when a batch does not fit, `refused` when there is no such database, `interrupted`.
 */
export async function replayLog(
  stagedPath: string,
  reading: LogReading,
  to: number | 'end',
  progress: (now: ReplayProgress) => void = () => undefined,
): Promise<Replayed> {
  const { Replay } = await import('../../store/sqlite/replay.ts');
  using replay = new Replay(stagedPath);
  const position = replay.position();
  if (!position) {
    const faults = ['the backup was made of a database without a recovery log'];
    return { position, batches: 0, reached: undefined, complete: false, faults };
  }
  const { chain, batch: start } = position;
  const reader = new LogReader(reading);
  const chains = await reader.chains();
  const located = chains.find((one) => one.chain === chain) ?? { chain, segments: [], isSpooled: false };
  const target = to === 'end' ? Number.POSITIVE_INFINITY : to;
  let at = start;
  let time: number | undefined;
  let isPast = false;
  for await (const { source, frames } of reader.frames(located, start)) {
    const wanted = frames.filter((frame) => frame.at <= target);
    for (let from = 0; from < wanted.length; from += TOGETHER) {
      const some = wanted.slice(from, from + TOGETHER);
      replay.apply(some, chain, source);
      at = some.at(-1)?.batch ?? at;
      time = some.at(-1)?.at ?? time;
      progress({ batches: at - start, at: time ?? 0 });
    }
    isPast = wanted.length < frames.length;
    if (isPast) break;
  }
  replay.finish();
  const batches = at - start;
  const faults = reader.faults;
  const done = { position: { chain, batch: at }, batches, faults };
  if (isPast) return { ...done, reached: target, complete: true };
  return { ...done, ...(await endOf(reader, { located, chains, at, time, target })) };
}

interface LogEnd {
  readonly located: LocatedChain;
  readonly chains: readonly LocatedChain[];
  readonly at: number;
  readonly time: number | undefined;
  readonly target: number;
}

/** What it means that the log went no further. */
async function endOf(
  reader: LogReader,
  { located, chains, at, time, target }: LogEnd,
): Promise<Pick<Replayed, 'reached' | 'complete'>> {
  const head = await reader.head(located.chain);
  // A spool that is there has the last of its chain.
  const hasEnd = head !== undefined || located.isSpooled;
  const isWhole = hasEnd && (head?.last ?? 0) <= at && !located.segments.some(({ last }) => last > at);
  const reached = isWhole && head ? Math.max(head.until, time ?? 0) : time;
  if (target !== Number.POSITIVE_INFINITY) {
    const complete = reached !== undefined && reached >= target && isWhole;
    return { reached: complete ? target : reached, complete };
  }
  const isNewest = !chains.some(({ chain }) => chain > located.chain);
  return { reached, complete: isWhole && isNewest };
}

export interface RevocationJournal {
  /** In the order of their ids. */
  readonly rows: readonly Revocation[];
  /** The log has all that were made between the asked time and `until`. */
  readonly complete: boolean;
  /** ms; undefined without a log. */
  readonly until: number | undefined;
  readonly faults: readonly string[];
}

/**
 * What all chains tell of revocations after a time (ms), whatever database they were made in; beyond a gap, whatever is whole.
 * @param scratch a folder of the caller's, for a small file
 * Failures: `interrupted`, `unavailable`
 */
export async function readRevocations(
  reading: LogReading,
  { after, scratch }: { readonly after: number; readonly scratch: string },
): Promise<RevocationJournal> {
  const schema = { path: path.join(scratch, 'schema.db'), wal: false };
  await migrateSchema({ driver: 'sqlite', sqlite: schema }, { clock: systemClock, random: systemRandom });
  const { RevocationSieve } = await import('../../store/sqlite/revocation-sieve.ts');
  using sieve = new RevocationSieve(schema.path);
  const reader = new LogReader(reading);
  const rows = new Map<string, Revocation>();
  const keep = (found: readonly Revocation[]) => {
    for (const row of found) if (row.at > after) rows.set(row.id, row);
  };
  const chains = await reader.chains();
  let end: Pick<RevocationJournal, 'complete' | 'until'> = { complete: false, until: undefined };
  for (const [index, located] of chains.entries()) {
    const head = await reader.head(located.chain);
    if (head && index < chains.length - 1 && endsBefore(located, head, after)) continue;
    let hasStanding = false;
    for (const segment of located.segments.filter(({ first }) => first === 0)) {
      const opened = await reader.open(segment);
      if (!opened) continue;
      hasStanding = true;
      keep(rowsIn(opened.plain));
    }
    let at = await reader.before(located, after);
    const keepAll = ({ kind, frames }: ReadFrames) => {
      const read = kind === 'revocations' ? rowsIn : (changes: Uint8Array) => sieve.rowsIn(changes);
      for (const { changes } of frames) keep(read(changes));
    };
    for await (const found of reader.frames(located, at)) {
      keepAll(found);
      at = found.frames.at(-1)?.batch ?? at;
    }
    // What was taken away stays so, whatever else is missing between.
    for await (const found of reader.beyond(located, at)) keepAll(found);
    const isWhole = !located.segments.some(({ last }) => last > at) && head !== undefined && head.last <= at;
    end = { complete: isWhole && hasStanding, until: head?.until };
  }
  return { rows: [...rows.values()].sort(byId), ...end, faults: [...new Set(reader.faults)] };
}

/** A head is written once a minute: what is there beyond it may be later than it says. */
function endsBefore({ segments, isSpooled }: LocatedChain, head: ChainHead, time: number): boolean {
  return head.until < time && !isSpooled && !segments.some(({ last }) => last > head.last);
}

function rowsIn(lines: Uint8Array): readonly Revocation[] {
  const text = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Revocation);
}

function byId(a: Revocation, b: Revocation): number {
  return a.id < b.id ? -1 : 1;
}
