/** The one report about point in time on PostgreSQL, for people, doctor, metrics and readiness. */
import type { ArchivingFacts } from '../../store/archiving.ts';
import { judgeArchiver, type RecoveryFinding } from './archiver.ts';
import type { Repository, RepositoryBackup } from './repository.ts';

/** Who takes care of it: pgBackRest as we set it up, or whoever runs the database. */
export type Keeper = 'pgbackrest' | 'provider';

/** The settings row in which the host of the database tells the servers what only it can see. */
export const OBSERVATION = 'recovery.postgres';

/** The value of that row, JSON. */
export interface Observation {
  readonly by: Keeper;
  /** Where pgBackRest is set up; null with a provider. */
  readonly stanza: { readonly config: string; readonly stanza: string } | null;
  /** When the repository was looked at, ms; null with a provider. */
  readonly seen_at: number | null;
  readonly repository: Repository | null;
  /** When a marker was last taken out of a cluster restored to a moment, ms. */
  readonly round_trip_at: number | null;
  /** How long that took, ms. */
  readonly round_trip_ms: number | null;
}

export interface RecoveryStatus {
  readonly engine: 'postgres';
  readonly by: Keeper | null;
  /** Nothing is in the way of a restore to any moment of the window. */
  readonly ok: boolean;
  /** The age of the oldest change that a lost disk could take along, at most; null where nobody can tell. */
  readonly recovery_lag_seconds: number | null;
  /** Moments that can be restored, ms; null where nobody can tell, or none can. */
  readonly window: { readonly from: number; readonly to: number } | null;
  /** The end of the newest full backup, ms. */
  readonly last_full: number | null;
  /** The end of the newest backup of any kind, ms. */
  readonly last_backup: number | null;
  /** When the repository was looked at, ms. */
  readonly seen_at: number | null;
  readonly round_trip_at: number | null;
  readonly round_trip_ms: number | null;
  readonly archive_mode: string;
  readonly segments_waiting: number;
  readonly archive_failures: number;
  readonly findings: readonly RecoveryFinding[];
}

/** Longer than a week, so that a weekly full backup is in time. */
const OLDEST_BACKUP = 8 * 86_400_000;
/** A daily look at the repository is in time. */
const OLDEST_LOOK = 26 * 3_600_000;
const OLDEST_ROUND_TRIP = 100 * 86_400_000;

/** @param maxLag ms */
export function judgeRecovery(
  facts: ArchivingFacts,
  seen: Observation | undefined,
  maxLag: number,
): RecoveryStatus {
  const archiver = judgeArchiver(facts, maxLag);
  const findings = [...findingsOf(facts, seen, archiver.findings)];
  const backups = usable(seen?.repository);
  const newest = (wanted: readonly RepositoryBackup[]) => wanted.at(-1)?.stopped_at ?? null;
  return {
    engine: 'postgres',
    by: seen?.by ?? null,
    ok: findings.every(({ level }) => level !== 'error'),
    recovery_lag_seconds: archiver.lag === null ? null : Math.round(archiver.lag / 100) / 10,
    window: windowOf(facts, backups, archiver.lag),
    last_full: newest(backups.filter(({ type }) => type === 'full')),
    last_backup: newest(backups),
    seen_at: seen?.seen_at ?? null,
    round_trip_at: seen?.round_trip_at ?? null,
    round_trip_ms: seen?.round_trip_ms ?? null,
    archive_mode: facts.archiveMode,
    segments_waiting: archiver.waiting,
    archive_failures: facts.archiver.failures,
    findings,
  };
}

function usable(repository: Repository | null | undefined): readonly RepositoryBackup[] {
  if (!repository?.ok) return [];
  return repository.backups.filter(({ restorable, damaged }) => restorable && !damaged);
}

function windowOf(
  { now }: ArchivingFacts,
  backups: readonly RepositoryBackup[],
  lag: number | null,
): RecoveryStatus['window'] {
  const [oldest] = backups.filter(({ type }) => type === 'full');
  if (!oldest || lag === null) return null;
  // pgBackRest tells whole seconds, and its backup is consistent at the end of the last of them.
  const from = oldest.stopped_at + 1000;
  const to = now - lag;
  return from < to ? { from, to } : null;
}

function findingsOf(
  facts: ArchivingFacts,
  seen: Observation | undefined,
  archiving: readonly RecoveryFinding[],
): readonly RecoveryFinding[] {
  // A provider may copy the log in a way of its own, which SQL does not see.
  if (seen?.by === 'provider') return facts.archiveMode === 'off' ? [UNSEEN] : archiving;
  if (!seen) return [NOT_SET_UP, ...archiving];
  return [...archiving, ...repositoryFindings(facts, seen)];
}

const UNSEEN: RecoveryFinding = {
  level: 'warning',
  says: 'The provider does not show here how it copies the log, so the lag is unknown.',
  hint: 'See the point in time recovery in the console of the provider, and try it once.',
};

const NOT_SET_UP: RecoveryFinding = {
  level: 'error',
  says: 'Nobody has set up point in time recovery for this database.',
  hint: 'Run `authserver recovery setup` on the host of the database, or `authserver recovery setup --provider` where a provider does it.',
};

const LOOK = 'Run `authserver recovery status` on the host of the database, daily from a timer.';

function repositoryFindings(facts: ArchivingFacts, seen: Observation): readonly RecoveryFinding[] {
  const { repository, seen_at, round_trip_at } = seen;
  const error = (says: string, hint: string): RecoveryFinding => ({ level: 'error', says, hint });
  const warning = (says: string, hint: string): RecoveryFinding => ({ level: 'warning', says, hint });
  if (!repository?.ok) {
    const why = repository?.message ?? 'nobody has looked at it';
    return [
      error(
        `The repository of pgBackRest cannot be used: ${why}.`,
        'Run `authserver recovery setup` again on the host of the database.',
      ),
    ];
  }
  const found: RecoveryFinding[] = [];
  if (repository.system_id !== null && repository.system_id !== facts.systemId) {
    found.push(
      error(
        'The repository belongs to another cluster than the one that serves.',
        'Run `authserver recovery setup` with a --stanza of its own.',
      ),
    );
  }
  const newest = usable(repository).at(-1);
  const again = 'Make one: pgbackrest --type=full backup, with the --config and --stanza of archive_command.';
  if (!newest) found.push(error('The repository has no backup that can be restored.', again));
  else if (facts.now - newest.stopped_at > OLDEST_BACKUP) {
    found.push(error(`The newest backup is from ${day(newest.stopped_at)}.`, again));
  }
  for (const { label, damaged } of repository.backups) {
    if (damaged)
      found.push(error(`Backup ${label} holds damaged pages: the disk of the database fails.`, again));
  }
  if (seen_at !== null && facts.now - seen_at > OLDEST_LOOK) {
    found.push(warning(`Nobody has looked at the repository since ${day(seen_at)}.`, LOOK));
  }
  if (round_trip_at === null) {
    found.push(error('No restore has been tried yet.', 'Run `authserver recovery setup` to the end.'));
  } else if (facts.now - round_trip_at > OLDEST_ROUND_TRIP) {
    found.push(
      warning(
        `No restore has been tried since ${day(round_trip_at)}.`,
        'Run `authserver recovery setup` again.',
      ),
    );
  }
  return found;
}

function day(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 16).replace('T', ' ');
}
