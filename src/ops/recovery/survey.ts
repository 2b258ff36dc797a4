/** How far the recovery log reaches: cheap to know from names and a few signed lines, for certain once it is read. */
import { reachOf } from '../../archive/log/names.ts';
import { type LocatedChain, LogReader, type LogReading } from './log-reader.ts';
import { SpoolView } from './spool-view.ts';

export interface LogChain {
  readonly chain: string;
  readonly kind: 'changes' | 'revocations';
  readonly epoch: number;
  /** A backup that was made from then on, ms, can be taken forward. */
  readonly from: number;
  /** So far, ms. */
  readonly until: number;
  /** The last batch that can be reached. */
  readonly last: number;
  readonly faults: readonly string[];
}

/** The chains that there are, by age. Nothing is decrypted; where there is a spool, what waits in it counts. */
export async function surveyLog(reading: Omit<LogReading, 'identities'>): Promise<readonly LogChain[]> {
  const reader = new LogReader({ ...reading, identities: {} });
  const spool = reading.spool === undefined ? undefined : new SpoolView(reading.spool);
  const surveyed: LogChain[] = [];
  for (const one of await reader.chains()) {
    const chain = await survey(reader, one, spool);
    if (chain) surveyed.push(chain);
  }
  return surveyed;
}

/** What is asked of a backup that the log is to take on. */
export interface LoggedBackup {
  readonly epoch: number;
  /** ms */
  readonly recoveryPoint: { readonly from: number; readonly to: number };
}

/** Between which times a backup can be taken to any moment; undefined when the log does not take it on. */
export function windowFrom(
  chains: readonly LogChain[],
  backup: LoggedBackup,
): { readonly from: number; readonly to: number } | undefined {
  const { to } = backup.recoveryPoint;
  const chain = chains.findLast((one) => takesOn(one, backup) && one.until > to);
  return chain && { from: to, to: chain.until };
}

export interface ReadWindow {
  /** ms */
  readonly from: number;
  readonly to: number;
  readonly chain: string;
  /** The last batch that can be reached. */
  readonly last: number;
  /** Why it does not go further; empty where it goes to the end. */
  readonly faults: readonly string[];
}

/** As `windowFrom`, but each segment on the way is read. It takes no key. Failures: `interrupted`. */
export async function windowRead(
  reading: Omit<LogReading, 'identities'>,
  backup: LoggedBackup,
): Promise<ReadWindow | undefined> {
  const { from, to } = backup.recoveryPoint;
  const usable = (await surveyLog(reading)).filter((one) => takesOn(one, backup));
  for (const { chain } of usable.reverse()) {
    const reader = new LogReader({ ...reading, identities: {} });
    const [located] = await reader.chains(chain);
    if (!located) continue;
    const head = await reader.head(chain);
    const after = await reader.before(located, from);
    const before = reader.faults.length;
    const end = await reader.reach(located, after);
    const hasEnd = head !== undefined || located.isSpooled;
    const isWhole =
      hasEnd && (head?.last ?? 0) <= end.last && !located.segments.some(({ last }) => last > end.last);
    // Where more came, it may be of the same millisecond.
    const until = isWhole ? Math.max(head?.until ?? 0, end.to ?? 0) : (end.to ?? 0) - 1;
    const faults = isWhole ? [] : [...new Set(reader.faults.slice(before))];
    const goesOn = Math.max(until, end.to ?? 0) > to;
    if (goesOn) return { from: to, to: until, chain, last: end.last, faults };
  }
  return undefined;
}

function takesOn({ kind, epoch, from }: LogChain, backup: LoggedBackup): boolean {
  return kind === 'changes' && epoch === backup.epoch && from <= backup.recoveryPoint.from;
}

/** Undefined when nothing of it can be believed. */
async function survey(
  reader: LogReader,
  { chain, segments }: LocatedChain,
  spool: SpoolView | undefined,
): Promise<LogChain | undefined> {
  const before = reader.faults.length;
  const head = await reader.head(chain);
  const frames = segments.filter(({ last }) => last > 0);
  const [first] = frames;
  const shipped = first ? reachOf(frames, first.first) : 0;
  const firstHeader = first && (await reader.header(first));
  const last = frames.find((segment) => segment.last === shipped);
  const lastHeader = last && (await reader.header(last));
  const spooled = spool?.chains().find((one) => one.chain === chain);
  const waiting = await spool?.tail(chain, shipped);
  const reach = waiting?.last ?? shipped;
  const about =
    head ?? lastHeader ?? firstHeader ?? (spooled && { kind: 'changes' as const, ...spooled.header });
  if (!about) return undefined;
  const faults = reader.faults.slice(before);
  if (frames.some((segment) => segment.last > reach)) faults.push(`batches from ${reach + 1} on are missing`);
  else if (head && head.last > reach) faults.push(`batches ${reach + 1} to ${head.last} are missing`);
  // The head may be older than the last segment; it says nothing when what it speaks of is not there.
  const byHead = head && head.last <= reach ? head.until : 0;
  const begunAt = (head ?? spooled?.header)?.begun_at;
  const isWhole = (first?.first ?? (spooled?.start ?? 0) + 1) <= 1;
  return {
    chain,
    kind: about.kind,
    epoch: about.restore_epoch,
    from: (isWhole ? begunAt : undefined) ?? firstHeader?.from ?? Number.MAX_SAFE_INTEGER,
    until: Math.max(byHead, lastHeader?.to ?? 0, waiting?.to ?? 0),
    last: reach,
    faults,
  };
}
