/** Where a restore goes: the place that the settings name, or an empty one that somebody names instead. */
import path from 'node:path';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import type { StorageChoice } from '../open-store.ts';
import type { WorldParts } from './prepared.ts';
import { sizeOfPresent } from './present.ts';
import { databaseFile, postgresName } from './staging.ts';

/** Failures: `invalid_input` for what is no place, or the one that is served. */
export function chooseDestination(
  config: Config,
  into: string | undefined,
): { readonly storage: StorageChoice; readonly isElsewhere: boolean } {
  const live = storageChoice(config);
  if (into === undefined) return { storage: live, isElsewhere: false };
  const storage = destinationOf(config, into);
  if (placeName(storage) === placeName(live)) throw sameplace(placeName(live));
  return { storage, isElsewhere: true };
}

/** The database that somebody names. */
function destinationOf(config: Config, into: string): StorageChoice {
  if (/^postgres(ql)?:\/\//.test(into)) {
    if (!URL.canParse(into)) {
      throw new Failure('invalid_input', 'The address of the PostgreSQL database is none.', { hint: PLACES });
    }
    const { max_conns, connect_timeout, statement_timeout } = config.storage.postgres;
    const times = { connectTimeout: connect_timeout, statementTimeout: statement_timeout };
    return { driver: 'postgres', postgres: { dsn: into, maxConnections: max_conns, ...times } };
  }
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(into) ?? [];
  if (scheme === undefined) return { driver: 'sqlite', sqlite: { path: path.resolve(into), wal: true } };
  throw new Failure('invalid_input', `A restore does not go into ${scheme}://.`, { hint: PLACES });
}

const PLACES = 'Give the path of an SQLite file, or postgres://USER@HOST/DATABASE.';

/** A place elsewhere has to be empty: whatever is there is not what would be kept. */
export async function checkEmpty(storage: StorageChoice, { files }: WorldParts): Promise<readonly Failure[]> {
  try {
    const { isThere } = await sizeOfPresent(files, storage);
    if (!isThere) return [];
  } catch (error) {
    return [asFailure(error)];
  }
  return [
    new Failure('refused', `There is something at ${placeName(storage)} already.`, {
      hint: 'Name a file that is not there, or an empty database or schema.',
    }),
  ];
}

/** As an operator would write it, without a password. */
export function placeName(storage: StorageChoice): string {
  return storage.driver === 'sqlite' ? databaseFile(storage.sqlite.path) : postgresName(storage.postgres.dsn);
}

function sameplace(place: string): Failure {
  return new Failure('invalid_input', `${place} is the database of the settings.`, {
    hint: 'Leave --into out: then the present state is kept beside the restored one, and can be brought back.',
  });
}
