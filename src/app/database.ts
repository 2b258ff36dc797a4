import { Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Meter } from '../kernel/metrics.ts';
import { spoolFolder } from '../store/change-spool.ts';
import type { MigrationPlan } from '../store/migrations/plan.ts';
import { nameOf, timeline } from '../store/migrations/timeline.ts';
import type { Store } from '../store/store.ts';
import type { Config } from './config.ts';
import { checkDeployment, LOST } from './deployment.ts';
import { lookAtSchema, openStore, planSchema, type StorageChoice } from './open-store.ts';

/** The database that the settings name. */
export function storageChoice({ storage }: Config): StorageChoice {
  if (storage.driver === 'sqlite') return { driver: 'sqlite', sqlite: storage.sqlite };
  const { dsn, max_conns, connect_timeout, statement_timeout } = storage.postgres;
  return {
    driver: 'postgres',
    postgres: {
      // The rules of the configuration hold that it is there.
      dsn: dsn ?? '',
      maxConnections: max_conns,
      connectTimeout: connect_timeout,
      statementTimeout: statement_timeout,
    },
  };
}

/** Opens the store. Failures: `refused` while schema steps are pending, `unavailable`. */
export async function openDatabase(config: Config, log: Log, meter?: Meter): Promise<Store> {
  await checkSchema(config);
  return openStore(logged(config), log, meter);
}

/** Failures: `refused` while schema steps are pending, as where there is no database; those of `planDatabase`. */
export async function checkSchema(config: Config): Promise<void> {
  const pending = await pendingSteps(config);
  if (pending.length > 0) throw pendingFailure(pending);
}

/** Whether commits go into the recovery log. */
export function isLogged({ storage, recovery }: Pick<Config, 'storage' | 'recovery'>): boolean {
  return storage.driver === 'sqlite' && recovery.log !== false;
}

function logged(config: Config): StorageChoice {
  const choice = storageChoice(config);
  if (choice.driver !== 'sqlite' || !isLogged(config)) return choice;
  const changeLog = { folder: spoolFolder(choice.sqlite.path) };
  return { ...choice, sqlite: { ...choice.sqlite, changeLog } };
}

/** The schema steps that this program has and the database lacks: `2 (names)`. */
export async function pendingSteps(config: Config): Promise<readonly string[]> {
  const { pending } = await planDatabase(config);
  return pending.map(nameOf);
}

/** The same of a server that serves, which goes on while others are replaced: steps of a newer program are no fault. */
export async function missingSteps(config: Config): Promise<readonly string[]> {
  const { pending, deployment } = await lookAtSchema(storageChoice(config));
  checkDeployment(config.state_dir, deployment);
  return pending.map(nameOf);
}

/** What the database has and lacks. Failures: `refused` when it is not for this program, or not for this state directory. */
export async function planDatabase(config: Config): Promise<MigrationPlan> {
  const plan = await planSchema(storageChoice(config));
  checkDeployment(config.state_dir, plan.deployment);
  return plan;
}

/** Why nothing is served on a schema that is behind. */
export function pendingFailure(pending: readonly string[]): Failure {
  const migrate = 'Run `authserver migrate` with the same settings, then try again.';
  return new Failure('refused', `The database lacks schema steps: ${pending.join(', ')}.`, {
    hint: pending.length < timeline.length ? migrate : `For a new server: ${migrate} ${LOST}`,
  });
}
