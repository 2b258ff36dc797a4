/** What backups there are, one line a backup whatever the number of its copies, and what can be believed of each. */
import type { CatalogEntry } from '../../archive/catalog.ts';
import type { TargetDescription } from '../../archive/targets/target.ts';
import { readCatalogs, type TargetCatalog } from './catalog.ts';
import type { BackupDesk, RecoveryWindow } from './desk.ts';

export interface ListedCopy {
  readonly target: string;
  /** Restored and tried from just this copy's bytes; null when it never was. */
  readonly verified: {
    readonly passed: boolean;
    readonly at: number;
    readonly rto_ms: number;
    readonly findings: readonly string[];
  } | null;
  readonly pinned: boolean;
  /** What is wrong with it; with a fault it counts as one that has failed. */
  readonly faults: readonly string[];
  /** What lies there besides and cannot be believed. */
  readonly doubts: readonly string[];
}

/** Members from the signed record are null where there is none that can be believed. */
export interface ListedBackup {
  readonly id: string;
  readonly state: 'verified' | 'unverified' | 'failed' | 'unknown';
  readonly sequence: number | null;
  readonly made_at: number | null;
  readonly deployment: string | null;
  readonly rows: number | null;
  /** Bytes of the archive. */
  readonly size: number | null;
  readonly unpacked_size: number | null;
  readonly schema_version: number | null;
  readonly program: string | null;
  readonly tags: readonly string[];
  readonly encryption: {
    readonly kind: 'age' | 'passphrase' | 'none';
    readonly recipients: readonly string[];
  } | null;
  /** How long a restore takes, ms, as it was measured last. */
  readonly rto_ms: number | null;
  readonly pinned: boolean;
  readonly reason: string | null;
  readonly copies: readonly ListedCopy[];
}

export interface ListReport {
  /** The oldest first. */
  readonly items: readonly ListedBackup[];
  readonly targets: readonly (TargetDescription & { readonly problem: string | null })[];
  readonly windows: readonly RecoveryWindow[];
}

/** Failures: `invalid_input` for an unknown target, `interrupted`. */
export async function listBackups(
  desk: Pick<BackupDesk, 'places' | 'trust' | 'windows'>,
  { target, signal }: { readonly target: string | null; readonly signal: AbortSignal },
): Promise<ListReport> {
  const places = await desk.places(target ?? undefined);
  const trust = await desk.trust();
  const catalogs = await readCatalogs(places, trust, { signal });
  return {
    items: listItems(catalogs),
    targets: catalogs.map(({ description, problem }) => ({ ...description, problem })),
    windows:
      (await desk.windows?.(
        places,
        trust,
        catalogs.flatMap(({ entries }) => entries),
      )) ?? [],
  };
}

function listItems(catalogs: readonly TargetCatalog[]): ListedBackup[] {
  const byId = Map.groupBy(
    catalogs.flatMap(({ entries }) => entries),
    ({ id }) => id,
  );
  return [...byId].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, entries]) => listOne(id, entries));
}

function listOne(id: string, entries: readonly CatalogEntry[]): ListedBackup {
  const record = entries.find((entry) => entry.record)?.record;
  const pin = entries.find((entry) => entry.pin?.pinned)?.pin;
  const copies = entries.map(copyOf);
  const proven = copies.filter((copy) => copy.verified?.passed && copy.faults.length === 0);
  return {
    id,
    state: stateOf(copies, record !== undefined),
    sequence: record?.sequence ?? null,
    made_at: record?.made_at ?? null,
    deployment: record?.deployment_id ?? null,
    rows: record?.rows ?? null,
    size: record?.file.size ?? null,
    unpacked_size: record?.unpacked_size ?? null,
    schema_version: record?.schema_version ?? null,
    program: record?.program ?? null,
    tags: record?.tags ?? [],
    encryption: record?.encryption ?? null,
    rto_ms: proven[0]?.verified?.rto_ms ?? null,
    pinned: pin !== undefined,
    reason: pin?.reason ?? null,
    copies,
  };
}

/** One good copy makes a good backup. */
function stateOf(copies: readonly ListedCopy[], isKnown: boolean): ListedBackup['state'] {
  if (!isKnown) return 'unknown';
  const whole = copies.filter(({ faults }) => faults.length === 0);
  if (whole.some(({ verified }) => verified?.passed)) return 'verified';
  return whole.some(({ verified }) => verified === null) ? 'unverified' : 'failed';
}

function copyOf({ target, verification, pin, faults, doubts }: CatalogEntry): ListedCopy {
  return {
    target,
    verified: verification
      ? {
          passed: verification.passed,
          at: verification.verified_at,
          rto_ms: verification.rto_ms,
          findings: verification.findings,
        }
      : null,
    pinned: pin?.pinned === true,
    faults,
    doubts,
  };
}
