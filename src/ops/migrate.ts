import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Random } from '../kernel/random.ts';
import type { SchemaConnection } from '../store/migrations/connection.ts';
import { schemaDigest } from '../store/migrations/digest.ts';
import { runMigrations } from '../store/migrations/migrate.ts';
import type { Migration } from '../store/migrations/migration.ts';
import { holdsData, planMigrations } from '../store/migrations/plan.ts';
import { estimateSteps, type PlannedStep } from './migrate-estimate.ts';

/** What brings the state before an upgrade back. */
export interface ProvenBackup {
  /** What will be done, as a sentence for the plan; writes nothing. */
  intent(before: BeforeUpgrade): Promise<string>;
  /**
   * Makes it, and proves that it leads back and that the steps can be taken on it.
   * Failures: `refused` when it cannot be made or does not pass, and then nothing is left of it; `interrupted`.
   */
  make(before: BeforeUpgrade): Promise<BackupProof>;
}

/** What a backup is named after, and where it belongs. */
export interface BeforeUpgrade {
  /** The first step that the database lacks. */
  readonly step: number;
  /** The schema that the tables are in. */
  readonly schema: string;
}

export interface BackupProof {
  readonly kept: KeptBefore;
  /** What brings it back. */
  readonly undo: readonly UndoStep[];
  /** Lets go of what is of no use where no step was taken. */
  discard(): Promise<void>;
}

/** What is kept of the state before. */
export interface KeptBefore {
  /** Of the backup; null where there is nobody yet whom one could be for. */
  readonly id: string | null;
  /** The targets that have it and gave it back. */
  readonly targets: readonly string[];
  /** What was tried, as a sentence; null without a backup. */
  readonly proof: string | null;
  /** A copy of the database beside it, which opens without any key; null where there is none. */
  readonly copy: { readonly file: string; readonly proof: string } | null;
}

export interface UndoStep {
  readonly say: string;
  /** A line for a shell; null where there is nothing to type, or it depends on how the server is run. */
  readonly command: string | null;
  /** What may be done in place of it. */
  readonly instead?: { readonly say: string; readonly command: string };
}

/** What is done about a backup where somebody wants no proven one. */
export interface BackupByHand {
  /** How to make one for this database. */
  readonly hint: string;
  /** What brings it back. */
  undo(before: BeforeUpgrade): readonly UndoStep[];
}

export interface UpgradePlan {
  /** The id of the installation whose database this is; undefined where there is none yet. */
  readonly deployment: string | undefined;
  readonly steps: readonly PlannedStep[];
  /** The schema that the tables are in, or will be. */
  readonly schema: string;
  /** Only then is there anything to back up. */
  readonly holds_data: boolean;
}

export interface UpgradeParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly stop?: AbortSignal;
  readonly timeline?: readonly Migration[];
  readonly backup: ProvenBackup;
  /** True when somebody said that no proven backup is wanted. */
  readonly withoutBackup: boolean;
  readonly byHand: BackupByHand;
}

export interface UpgradeReport {
  readonly deployment: string | undefined;
  /** Empty when there was nothing to do, or another process had done it while we waited for it. */
  readonly steps: readonly PlannedStep[];
  readonly backup: KeptBefore | null;
  readonly undo: readonly UndoStep[];
  readonly schema_digest: string;
}

/** Failures: `refused` when a guard says no. */
export async function planUpgrade(
  db: SchemaConnection,
  timeline?: readonly Migration[],
): Promise<UpgradePlan> {
  const { pending, deployment } = await planMigrations(db, timeline);
  const holds_data = pending.length > 0 && (await holdsData(db));
  return { deployment, steps: await estimateSteps(db, pending), schema: await db.schema(), holds_data };
}

/**
 * Brings the schema up to this program's, behind a proven backup of what is there.
 * Failures: `refused` by a guard or without a backup; `unavailable`, `interrupted`.
 */
export async function upgrade(db: SchemaConnection, parts: UpgradeParts): Promise<UpgradeReport> {
  const schema = await db.schema();
  const estimates = new Map<number, PlannedStep>();
  let kept: { readonly before: BeforeUpgrade; readonly proven: BackupProof | undefined } | undefined;
  const beforeFirst = async (pending: readonly [Migration, ...Migration[]]) => {
    // Estimated before they are taken: afterwards the tables are another size.
    for (const step of await estimateSteps(db, pending)) estimates.set(step.version, step);
    if (!(await holdsData(db))) return;
    const before = { step: pending[0].version, schema };
    kept = { before, proven: await backUp(before, parts) };
  };
  const taken = await runMigrations(db, { ...parts, beforeFirst }).catch(async (error: unknown) => {
    await kept?.proven?.discard();
    throw error;
  });
  const steps = taken.flatMap(({ version }) => estimates.get(version) ?? []);
  const undo = kept && (kept.proven?.undo ?? parts.byHand.undo(kept.before));
  const { deployment } = await planMigrations(db, parts.timeline);
  return {
    deployment,
    steps,
    backup: kept?.proven?.kept ?? null,
    undo: undo ?? [],
    schema_digest: await schemaDigest(db),
  };
}

async function backUp(
  before: BeforeUpgrade,
  { backup, withoutBackup, log }: UpgradeParts,
): Promise<BackupProof | undefined> {
  if (withoutBackup) {
    log.warn({}, 'the schema is changed without a proven backup');
    return undefined;
  }
  const proven = await backup.make(before);
  log.info({ ...proven.kept }, 'backed up before the schema is changed');
  return proven;
}
