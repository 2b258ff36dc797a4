import { Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Store } from '../store/store.ts';
import type { Config } from './config.ts';
import { openStore, planSchema, type StorageChoice } from './open-store.ts';

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
export async function openDatabase(config: Config, log: Log): Promise<Store> {
  const pending = await pendingSteps(config);
  if (pending.length > 0) throw pendingFailure(pending);
  return openStore(storageChoice(config), log);
}

/** The schema steps that this program has and the database lacks: `2 (names)`. */
export async function pendingSteps(config: Config): Promise<readonly string[]> {
  const { pending } = await planSchema(storageChoice(config));
  return pending.map(({ version, name }) => `${version} (${name})`);
}

/** Why nothing is served on a schema that is behind. */
export function pendingFailure(pending: readonly string[]): Failure {
  return new Failure('refused', `The database lacks schema steps: ${pending.join(', ')}.`, {
    hint: 'Run `authserver migrate` with the same settings, then try again.',
  });
}
