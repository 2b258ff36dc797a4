/** What a PostgreSQL server tells about the archiving of its write-ahead log. Times are of its own clock, ms. */
export interface ArchivingFacts {
  readonly now: number;
  /** As in `server_version_num`: 150016. */
  readonly version: number;
  /** Of the cluster, as pg_controldata has it. */
  readonly systemId: string;
  /** Null where the role may not see it. */
  readonly dataDirectory: string | null;
  readonly superuser: boolean;
  /** It follows another server, or is being restored. */
  readonly inRecovery: boolean;
  readonly walLevel: string;
  readonly archiveMode: string;
  /** Empty where there is none, and while archive_mode is off. */
  readonly archiveCommand: string;
  readonly archiveLibrary: string;
  /** ms; 0 for never. */
  readonly archiveTimeout: number;
  /** A setting of archiving is written down and waits for a restart. */
  readonly pendingRestart: boolean;
  readonly segmentBytes: number;
  /** The segment that is being written; null in recovery. */
  readonly currentSegment: string | null;
  readonly archiver: {
    /** May name a file of another kind than a segment. */
    readonly lastArchived: { readonly file: string; readonly at: number } | null;
    readonly lastFailed: { readonly file: string; readonly at: number } | null;
    readonly failures: number;
    /** Since when this is counted. */
    readonly since: number;
  };
  /** What lies in pg_wal/archive_status; null where the role may not look. */
  readonly queue: {
    /** Whole segments that wait. */
    readonly waiting: number;
    /** When the newest archived segment was closed; null when that is no longer known. */
    readonly closedAt: number | null;
  } | null;
}
