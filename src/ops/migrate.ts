import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
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
  /** What will be done, as a sentence for the plan. */
  intent(before: BeforeUpgrade): string;
  /** Makes it, and proves that it is what it was made from. Failures: `refused` when it cannot be made. */
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
  /** Where it is. */
  readonly file: string;
  /** What was compared, as a sentence. */
  readonly proof: string;
  /** What brings it back. */
  readonly undo: readonly UndoStep[];
}

export interface UndoStep {
  readonly say: string;
  /** A line for a shell; null where there is nothing to type, or it depends on how the server is run. */
  readonly command: string | null;
}

/** What is done about a backup where there is no proven one. */
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
  /** Undefined where this program cannot make one, or was told not to. */
  readonly backup: ProvenBackup | undefined;
  /** True when somebody said that no proven backup is wanted. */
  readonly withoutBackup: boolean;
  readonly byHand: BackupByHand;
}

export interface UpgradeReport {
  readonly deployment: string | undefined;
  /** Empty when there was nothing to do, or another process had done it while we waited for it. */
  readonly steps: readonly PlannedStep[];
  readonly backup: Omit<BackupProof, 'undo'> | null;
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
  const plan = await planUpgrade(db, parts.timeline);
  const [first] = plan.steps;
  if (!first) return reportOf(db, parts, [], undefined, []);
  const before = { step: first.version, schema: plan.schema };
  const proven = plan.holds_data ? await backUp(before, parts) : undefined;
  const taken = new Set((await runMigrations(db, parts)).map(({ version }) => version));
  const steps = plan.steps.filter(({ version }) => taken.has(version));
  if (steps.length === 0 || !plan.holds_data) return reportOf(db, parts, steps, undefined, []);
  return reportOf(db, parts, steps, proven, proven?.undo ?? parts.byHand.undo(before));
}

async function reportOf(
  db: SchemaConnection,
  { timeline }: UpgradeParts,
  steps: readonly PlannedStep[],
  proven: BackupProof | undefined,
  undo: readonly UndoStep[],
): Promise<UpgradeReport> {
  const { deployment } = await planMigrations(db, timeline);
  const backup = proven ? { file: proven.file, proof: proven.proof } : null;
  return { deployment, steps, backup, undo, schema_digest: await schemaDigest(db) };
}

async function backUp(
  before: BeforeUpgrade,
  { backup, withoutBackup, byHand, log }: UpgradeParts,
): Promise<BackupProof | undefined> {
  if (withoutBackup) {
    log.warn({}, 'the schema is changed without a proven backup');
    return undefined;
  }
  if (!backup) {
    throw new Failure('refused', 'The database holds data, and there is no proven backup of it.', {
      hint: byHand.hint,
    });
  }
  const proof = await backup.make(before);
  log.info({ file: proof.file, proof: proof.proof }, 'backed up before the schema is changed');
  return proof;
}
