// Owns the way from an empty database to an open store on today's schema, as every test below the served product takes it.

import { migrateSchema, openStore, type StorageChoice } from '../../src/app/open-store.ts';
import { type Clock, systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { Store } from '../../src/store/store.ts';
import type { FreshStorage } from './engines.ts';

/** What `app/` would make of the settings that name this database. */
export function storageChoice(fresh: FreshStorage, maxConnections = 4): StorageChoice {
  if (fresh.driver === 'sqlite') return { driver: 'sqlite', sqlite: { path: fresh.path, wal: true } };
  const postgres = { dsn: fresh.dsn, maxConnections, connectTimeout: 5000, statementTimeout: 10_000 };
  return { driver: 'postgres', postgres };
}

/** Migrates the empty database and opens it; whoever asked closes it. */
export async function openFreshStore(choice: StorageChoice, clock: Clock = systemClock): Promise<Store> {
  await migrateSchema(choice, { clock, random: systemRandom });
  return openStore(choice, silentLog);
}

/** Migrates the empty database for a server or a command to come: cheaper than a process that does. */
export async function migrateFresh(storage: FreshStorage): Promise<void> {
  await migrateSchema(storageChoice(storage), { clock: systemClock, random: systemRandom });
}
