/**
 * What the doctor judges, as plain values: a check sees nothing else of the world. Times are milliseconds since 1970, sizes
 * bytes. Whoever gathers them (app/doctor/) may answer `absent` instead, with the reason why there is nothing to judge.
 */
import type { KeyFinding } from '../../keys/inspection.ts';
import type { RecoveryStatus } from '../point-in-time/status.ts';

export interface Facts {
  readonly sqliteLibrary: { readonly version: string };
  readonly database: DatabaseFacts;
  readonly sqliteFile: SqliteFileFacts;
  readonly integrity: IntegrityFacts;
  readonly postgres: PostgresFacts;
  readonly places: readonly Place[];
  readonly space: SpaceFacts;
  readonly modes: readonly FileMode[];
  readonly keys: { readonly findings: readonly KeyFinding[] };
  readonly clock: ClockFacts;
  readonly audit: AuditFacts;
  readonly backups: BackupFacts;
  readonly recoveryKey: RecoveryKeyFacts;
  readonly recoveryLog: RecoveryLogFacts;
  readonly drills: DrillFacts;
  readonly safetyCopies: readonly SafetyCopy[];
  readonly exposure: ExposureFacts;
  readonly secrets: readonly SecretFact[];
  readonly schedules: SchedulesFacts;
}

export interface DatabaseFacts {
  /** As people know it, without a secret. */
  readonly name: string;
  /** Undefined while it answers. */
  readonly trouble: { readonly finding: string; readonly hint: string } | undefined;
  readonly isEmpty: boolean;
  /** Steps that this program has and the database lacks. */
  readonly pending: readonly string[];
}

export interface SqliteFileFacts {
  readonly path: string;
  /** As the header of the file says. */
  readonly journal: 'wal' | 'rollback';
  /** `storage.sqlite.wal` */
  readonly wantsWal: boolean;
  /** A rollback journal beside it that SQLite would play back. */
  readonly hotJournal: string | undefined;
}

export interface IntegrityFacts {
  /** Empty where nothing is wrong; undefined where it was not looked for, and why. */
  readonly problems: readonly string[] | undefined;
  readonly skipped: string;
}

export interface PostgresFacts {
  /** `15.8` */
  readonly version: string;
  readonly major: number;
  /** By name, as `show` has them. */
  readonly settings: Readonly<Record<string, string>>;
  readonly maxConnections: number;
  /** Of these, kept for superusers. */
  readonly reserved: number;
  /** What one server may open. */
  readonly pool: number;
  /** Found in PATH. */
  readonly tools: readonly { readonly name: string; readonly version: string; readonly major: number }[];
}

export interface Place {
  /** `the database`, `backup target local` */
  readonly name: string;
  readonly role: 'state' | 'database' | 'keys' | 'backups';
  readonly path: string;
  /** As the kernel calls it: `ext4`, `nfs4`, `tmpfs`. */
  readonly type: string;
  readonly mountPoint: string;
}

export interface SpaceFacts {
  readonly path: string;
  readonly free: number;
  /** Of the database file and its log; 0 where the database is not on this machine. */
  readonly database: number;
  /** Of the largest archive that the targets show; 0 where there is none. */
  readonly archive: number;
}

export interface FileMode {
  readonly path: string;
  readonly what: string;
  /** The permission bits. */
  readonly mode: number;
  readonly isFolder: boolean;
  /** `owner`: nobody else may look inside; `group`: the group may. */
  readonly allowed: 'owner' | 'group';
}

export interface ClockFacts {
  readonly now: number;
  /** The newest moments that have been written down. */
  readonly known: readonly { readonly what: string; readonly at: number }[];
}

export interface AuditFacts {
  readonly events: number;
  readonly fault:
    | { readonly sequence: number; readonly kind: 'changed' | 'removed' | 'out_of_order' }
    | undefined;
  /** Events that were left out because there are too many. */
  readonly unread: boolean;
}

export interface BackupFacts {
  readonly now: number;
  /** When the deployment was made. */
  readonly since: number;
  readonly maxAge: number;
  readonly targets: readonly BackupTargetFacts[];
  /** Of this deployment, in any order. */
  readonly backups: readonly KnownBackup[];
  /** The last verified one, as the database remembers it. */
  readonly remembered: { readonly id: string; readonly madeAt: number } | undefined;
}

export interface BackupTargetFacts {
  readonly name: string;
  readonly place: string;
  /** Why it does not answer. */
  readonly trouble: string | undefined;
  /** It is a folder on the disk that the database is on too. */
  readonly besideDatabase: boolean;
}

export interface KnownBackup {
  readonly id: string;
  readonly target: string;
  readonly sequence: number;
  readonly madeAt: number;
  readonly size: number;
  readonly state: 'verified' | 'unverified' | 'failed';
}

export interface RecoveryKeyFacts {
  readonly now: number;
  readonly opens: 'recovery_key' | 'recipients' | 'passphrase' | 'nothing' | 'anybody';
  readonly confirmedAt: number | undefined;
}

export type RecoveryLogFacts =
  | { readonly by: 'nobody' }
  /** On PostgreSQL, which archives its own log. */
  | { readonly by: 'postgres'; readonly status: RecoveryStatus }
  /** On SQLite, whose server ships what it commits. */
  | ({ readonly by: 'server' } & ShippedLogFacts);

export interface ShippedLogFacts {
  readonly serverRuns: boolean;
  /** The last commit that the log is to hold; undefined where its next commit begins a chain. */
  readonly batch: number | undefined;
  readonly shelves: readonly LogShelfFacts[];
  /** When the newest backup was made; undefined where there is none. */
  readonly newestBackup: number | undefined;
}

/** The chain that is written now, on one target. */
export interface LogShelfFacts {
  readonly name: string;
  /** Why the target does not answer. */
  readonly trouble: string | undefined;
  /** The last commit that is there; 0 for none. */
  readonly last: number;
  /** When it was made, ms; undefined for none. */
  readonly until: number | undefined;
  /** When the chain began, ms; undefined for none. */
  readonly from: number | undefined;
  /** What is damaged or missing. */
  readonly faults: readonly string[];
}

export interface DrillFacts {
  readonly now: number;
  readonly since: number;
  readonly maxAge: number;
  readonly last: { readonly at: number; readonly name: string; readonly passed: boolean } | undefined;
}

export interface SafetyCopy {
  readonly name: string;
  readonly size: number;
  readonly from: 'restore' | 'upgrade';
}

export interface ExposureFacts {
  /** The host that the admin API listens on; undefined where it does not listen on TCP. */
  readonly adminHost: string | undefined;
  readonly publicHost: string;
  readonly issuer: string;
  /** `/metrics` is served, and asks for no token. */
  readonly openMetrics: boolean;
  readonly rateLimit: boolean;
  readonly guessingLimit: boolean;
  readonly openRegistration: boolean;
}

/** Something secret that a person chose. */
export interface SecretFact {
  readonly name: string;
  readonly isWeak: boolean;
  /** Whoever guesses it must be on this machine already. */
  readonly staysHere: boolean;
}

export interface SchedulesFacts {
  readonly now: number;
  readonly maxAge: number;
  readonly backup: string;
  readonly drill: string;
  /** When both begin within one minute; undefined where they do not in the coming year. */
  readonly together: number | undefined;
  /** When the last verified backup was made; undefined where there is none, or nobody can tell. */
  readonly lastVerified: number | undefined;
}

/** There is nothing to judge, and why. */
export interface Absent {
  readonly absent: string;
}

export function absent(reason: string): Absent {
  return { absent: reason };
}

/** Where facts come from; each is asked at most once, and only when a check needs it. */
export type Sources = { readonly [Name in keyof Facts]: () => Promise<Facts[Name] | Absent> };
