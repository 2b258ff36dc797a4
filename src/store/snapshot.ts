/**
 * A whole database from one moment, as text that is the same on both engines, and the way back. A row is one line of JSON
 * (NDJSON): its columns in the order of the table, integers as numbers, text as strings, null; without spaces, escaped as
 * JSON.stringify does. A table's rows come in the order of its primary key, text compared byte by byte as UTF-8. Its digest
 * is the SHA-256, hexadecimal, of all of its lines, each with its line feed.
 */
import type { Clock } from '../kernel/clock.ts';
import type { DeploymentRecord, MigrationRecord } from './records.ts';
import type { AuditLink } from './store.ts';

export interface SnapshotRequest {
  readonly clock: Clock;
  /** By name; all of them when not given. */
  readonly tables?: readonly string[];
  readonly signal?: AbortSignal;
}

export interface SnapshotTable {
  readonly name: string;
  readonly columns: readonly string[];
  /** The columns of the primary key. */
  readonly key: readonly string[];
  readonly rows: number;
}

export interface SnapshotHead {
  /** Whatever was committed by then is in it, ms. */
  readonly from: number;
  /** Nothing that was begun after that is in it, ms. */
  readonly to: number;
  /** The end of the audit chain at that moment: where the snapshot stands among the events, whatever the clocks said. */
  readonly audit: AuditLink;
  readonly deployment: DeploymentRecord;
  /** The steps that its schema has had. */
  readonly steps: readonly MigrationRecord[];
  /** In the order in which they follow. */
  readonly tables: readonly SnapshotTable[];
}

export interface TableTotal {
  readonly table: string;
  readonly rows: number;
  readonly digest: string;
}

export interface RowLines {
  readonly kind: 'rows';
  readonly table: string;
  readonly rows: number;
  /** About 1 MiB of whole lines. */
  readonly bytes: Uint8Array;
}

/** A table is some or no `rows`, then its `total`; then the next table follows. */
export type SnapshotPart = RowLines | ({ readonly kind: 'total' } & TableTotal);

export interface Snapshot extends AsyncDisposable {
  readonly head: SnapshotHead;
  /**
   * To be asked for once. Leaving the loop, or disposing of the snapshot, lets go of the database: until then the engine
   * keeps what changes meanwhile beside what it was. Failures: `unavailable`, `interrupted`.
   */
  parts(): AsyncIterable<SnapshotPart>;
}

export interface SnapshotLoad {
  /** The schema steps of whoever made the parts; the database must have had the same, and no more. */
  readonly steps: readonly Pick<MigrationRecord, 'version' | 'name' | 'checksum'>[];
  readonly parts: AsyncIterable<SnapshotPart> | Iterable<SnapshotPart>;
  readonly signal?: AbortSignal;
}

/** The totals of what is left of a snapshot, whose rows are read and dropped. */
export async function digestTables(snapshot: Snapshot): Promise<readonly TableTotal[]> {
  const totals: TableTotal[] = [];
  for await (const part of snapshot.parts()) {
    if (part.kind === 'total') totals.push({ table: part.table, rows: part.rows, digest: part.digest });
  }
  return totals;
}
