/**
 * ops/point-in-time: how far back, and how close to now, a PostgreSQL server can be taken, judged from what it and its
 * archive tell. It starts no process and knows no driver: app/pgbackrest does.
 */
import { formatDuration } from '../../kernel/duration.ts';
import type { ArchivingFacts } from '../../store/archiving.ts';

/** One line of a report: what is wrong, and what mends it. Only errors make a report red. */
export interface RecoveryFinding {
  readonly level: 'error' | 'warning';
  readonly says: string;
  readonly hint: string;
}

export interface ArchiverVerdict {
  /** The age of the oldest change that a lost disk could take along, at most, ms; null where nothing is archived. */
  readonly lag: number | null;
  /** Whole segments that wait to be archived. */
  readonly waiting: number;
  readonly findings: readonly RecoveryFinding[];
}

/** @param maxLag ms, beyond which the lag is an error */
export function judgeArchiver(facts: ArchivingFacts, maxLag: number): ArchiverVerdict {
  const off = whyNothingIsArchived(facts);
  if (off) return { lag: null, waiting: 0, findings: [off] };
  const failing = isFailing(facts);
  const waiting = Math.max(waitingSegments(facts), failing ? 1 : 0);
  const lag = lagOf(facts, waiting);
  const findings: RecoveryFinding[] = [];
  if (failing) findings.push(failingFinding(facts));
  else if (lag > maxLag) findings.push(lateFinding(lag, waiting, maxLag));
  if (facts.archiveTimeout === 0) findings.push(NO_TIMEOUT);
  if (facts.pendingRestart) findings.push(PENDING);
  return { lag, waiting, findings };
}

const SETUP = 'Run `authserver recovery setup` on the host of the database; it says each next step.';

const NO_TIMEOUT: RecoveryFinding = {
  level: 'warning',
  says: 'archive_timeout is 0: a server with little to do keeps its last changes to itself for as long as it takes to fill 16 MiB.',
  hint: "alter system set archive_timeout = '30s'; select pg_reload_conf();",
};

const PENDING: RecoveryFinding = {
  level: 'warning',
  says: 'Settings of archiving wait for a restart of PostgreSQL.',
  hint: 'Restart PostgreSQL, then run `authserver recovery status` again.',
};

function whyNothingIsArchived(facts: ArchivingFacts): RecoveryFinding | undefined {
  const { archiveMode, archiveCommand, archiveLibrary, pendingRestart, walLevel } = facts;
  if (archiveMode === 'off') {
    const says = 'PostgreSQL archives nothing: archive_mode is off.';
    return { level: 'error', says, hint: pendingRestart ? PENDING.hint : SETUP };
  }
  if (walLevel === 'minimal') {
    return { level: 'error', says: 'wal_level is minimal, from which nothing can be restored.', hint: SETUP };
  }
  if (archiveCommand !== '' || archiveLibrary !== '') return undefined;
  return { level: 'error', says: 'PostgreSQL archives nothing: archive_command is empty.', hint: SETUP };
}

/** The newest try has failed. */
function isFailing({ archiver: { lastArchived, lastFailed } }: ArchivingFacts): boolean {
  return lastFailed !== null && lastFailed.at > (lastArchived?.at ?? 0);
}

function failingFinding({
  archiver: { lastArchived, lastFailed, failures },
}: ArchivingFacts): RecoveryFinding {
  const last = lastArchived
    ? `the last one that worked was at ${iso(lastArchived.at)}`
    : 'none has worked yet';
  return {
    level: 'error',
    says: `Archiving fails: ${lastFailed?.file} at ${iso(lastFailed?.at ?? 0)}, ${failures} failures in all; ${last}.`,
    hint: 'The log of PostgreSQL says why (look for archive_command). Until it is mended pg_wal grows; keep an eye on its disk.',
  };
}

function lateFinding(lag: number, waiting: number, maxLag: number): RecoveryFinding {
  return {
    level: 'error',
    says: `Changes of the last ${roughly(lag)} are not archived (${waiting} segments wait); ${roughly(maxLag)} are allowed by recovery.max_lag.`,
    hint: 'See whether the repository is slow or away. With little traffic archive_timeout must be below recovery.max_lag.',
  };
}

const SEGMENT = /^[0-9A-F]{24}$/;

/** Counted where the role may look; otherwise from the names of the segments, which a backup label hides now and then. */
function waitingSegments({ queue, currentSegment, archiver, segmentBytes }: ArchivingFacts): number {
  if (queue) return queue.waiting;
  const last = archiver.lastArchived?.file ?? '';
  if (currentSegment === null || !SEGMENT.test(last)) return 0;
  if (last.slice(0, 8) !== currentSegment.slice(0, 8)) return 0;
  const between = ordinal(currentSegment, segmentBytes) - ordinal(last, segmentBytes) - 1n;
  return between > 0n ? Number(between) : 0;
}

/** How many segments the log had before this one. */
function ordinal(segment: string, segmentBytes: number): bigint {
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  return BigInt(`0x${segment.slice(8, 16)}`) * perFile + BigInt(`0x${segment.slice(16, 24)}`);
}

function lagOf({ now, queue, archiver, archiveTimeout }: ArchivingFacts, waiting: number): number {
  const since = queue?.closedAt ?? archiver.lastArchived?.at ?? archiver.since;
  const age = Math.max(0, now - since);
  // A segment that is open for longer than the timeout holds nothing from before: PostgreSQL would have closed it.
  return waiting === 0 && archiveTimeout > 0 ? Math.min(age, archiveTimeout) : age;
}

function roughly(milliseconds: number): string {
  return formatDuration(Math.max(1000, Math.round(milliseconds / 1000) * 1000));
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
