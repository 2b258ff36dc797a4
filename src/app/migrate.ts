import { systemClock } from '../kernel/clock.ts';
import { asFailure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import {
  type KeptBefore,
  planUpgrade,
  type UndoStep,
  type UpgradePlan,
  type UpgradeReport,
  upgrade,
} from '../ops/migrate.ts';
import type { PlannedStep } from '../ops/migrate-estimate.ts';
import type { SchemaConnection } from '../store/migrations/connection.ts';
import { backupBefore, backupByHand } from './backup-before.ts';
import type { Config } from './config.ts';
import { storageChoice } from './database.ts';
import { checkDeployment, rememberDeployment } from './deployment.ts';
import { makeLog } from './log.ts';
import { planSchema, withSchema } from './open-store.ts';
import { settleRestore } from './restore/finish.ts';
import { lockedFailure, prepareStateDir, tryLock } from './state-dir.ts';

export interface MigrateOptions {
  readonly planOnly: boolean;
  /** False when `--no-backup` was said. */
  readonly backup: boolean;
  /** The id of a deployment whose database is taken over. */
  readonly acceptDeployment: string | undefined;
  readonly stop: AbortSignal;
}

export interface MigrationReport {
  /** False when the steps were only planned. */
  readonly applied: boolean;
  readonly deployment: string | null;
  readonly steps: readonly PlannedStep[];
  /** What is, or would be, done about a backup; null where nothing is to be backed up. */
  readonly backup: KeptBefore | { readonly intent: string } | null;
  readonly undo: readonly UndoStep[];
  /** Of the schema as it is now. */
  readonly schema_digest?: string;
}

/**
 * Migrates, or tells what it would do. On SQLite no server may run meanwhile.
 * Failures: `refused` when one does, when a guard says no, or without a backup; `unavailable`, `interrupted`.
 */
export async function migrate(config: Config, options: MigrateOptions): Promise<MigrationReport> {
  await settleRestore(config);
  const { pending, deployment } = await planSchema(storageChoice(config));
  checkDeployment(config.state_dir, deployment, options.acceptDeployment);
  if (options.planOnly) return planned(config, options);
  prepareStateDir(config.state_dir);
  if (pending.length > 0) return migrateLocked(config, options);
  // A server that runs on a current schema is no obstacle to being told so.
  rememberDeployment(config.state_dir, deployment);
  return { applied: true, deployment: deployment ?? null, steps: [], backup: null, undo: [] };
}

/** Whether `serve` may change the schema: where nobody else can, where nothing can be lost, or where the settings say so. */
export async function mayMigrateAtStart(config: Config): Promise<boolean> {
  const { auto_migrate, driver } = config.storage;
  return auto_migrate ?? (driver === 'sqlite' || !(await readPlan(config)).holds_data);
}

/** Migrates before a server begins to serve; false when it was stopped before that was done. */
export async function upgradeAtStart(config: Config, log: Log, stop: AbortSignal): Promise<boolean> {
  try {
    const { undo } = await upgradeDatabase(config, log, { backup: true, stop });
    const lines = undo.flatMap(({ say, command, instead }) => [
      command ?? say,
      ...(instead ? [`${instead.say} ${instead.command}`] : []),
    ]);
    if (lines.length > 0) log.info({ undo: lines }, 'the schema was changed; this undoes it');
    return true;
  } catch (error) {
    if (stop.aborted && asFailure(error).code === 'interrupted') return false;
    throw error;
  }
}

async function migrateLocked(config: Config, options: MigrateOptions): Promise<MigrationReport> {
  const log = makeLog(config.observability.logging);
  // On PostgreSQL the database itself lets one migration run at a time.
  if (config.storage.driver === 'postgres') return done(await upgradeDatabase(config, log, options));
  using lock = tryLock(config);
  if (!lock) throw lockedFailure(config.state_dir);
  return done(await upgradeDatabase(config, log, options));
}

/** The caller holds the lock where there is one. */
async function upgradeDatabase(
  config: Config,
  log: Log,
  { backup, stop }: Pick<MigrateOptions, 'backup' | 'stop'>,
): Promise<UpgradeReport> {
  const storage = storageChoice(config);
  const report = await withSchema(storage, { log, stop }, (db: SchemaConnection) =>
    upgrade(db, {
      clock: systemClock,
      random: systemRandom,
      log,
      stop,
      backup: backupBefore(config, { log, signal: stop }),
      withoutBackup: !backup,
      byHand: backupByHand(storage),
    }),
  );
  rememberDeployment(config.state_dir, report.deployment);
  return report;
}

function done(report: UpgradeReport): MigrationReport {
  return { applied: true, ...report, deployment: report.deployment ?? null };
}

async function planned(config: Config, { backup, stop }: MigrateOptions): Promise<MigrationReport> {
  const { steps, deployment, holds_data, schema } = await readPlan(config);
  const report = { applied: false, deployment: deployment ?? null, steps, backup: null, undo: [] };
  const [first] = steps;
  if (!first || !holds_data || !backup) return report;
  const before = { step: first.version, schema };
  const log = makeLog(config.observability.logging);
  const intent = await backupBefore(config, { log, signal: stop }).intent(before);
  return { ...report, backup: { intent } };
}

function readPlan(config: Config): Promise<UpgradePlan> {
  return withSchema(storageChoice(config), { onlyLook: true }, (db) => planUpgrade(db));
}
