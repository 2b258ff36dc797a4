import { describe } from 'vitest';
import { query } from '../../../test/setup/cluster.ts';
import { engines, freshStorage, ownPostgres } from '../../../test/setup/engines.ts';
import { migrateSchema, openStore } from '../../app/open-store.ts';
import { loadSnapshot, readSnapshot } from '../../app/snapshots.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { FragileStore, OpenedStore } from './harness.ts';
import { conformance } from './suite.ts';

describe.skipIf(!engines.some((engine) => engine.name === 'postgres'))('needs the postgres engine', () => {
  conformance('postgres', { open, openFragile });
});

async function open(): Promise<OpenedStore> {
  const fresh = await freshStorage({ name: 'postgres' });
  if (fresh.driver !== 'postgres') throw new Error(`asked for postgres, got ${fresh.driver}`);
  return openAt(fresh.dsn, fresh.dispose);
}

async function openFragile(): Promise<FragileStore> {
  const cluster = await ownPostgres();
  const opened = await openAt(cluster.dsn(), () => cluster.dispose());
  return {
    ...opened,
    readsSurvive: false,
    breakDatabase: () => cluster.stop('immediate'),
    healDatabase: () => cluster.start(),
    async killConnections() {
      await query(
        cluster.dsn(),
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'authserver'",
      );
    },
  };
}

async function openAt(dsn: string, remove: () => Promise<void>): Promise<OpenedStore> {
  const postgres = { dsn, maxConnections: 10, connectTimeout: 10_000, statementTimeout: 10_000 };
  const storage = { driver: 'postgres', postgres } as const;
  await migrateSchema(storage, { clock: systemClock, random: systemRandom });
  const store = await openStore(storage, silentLog);
  const dispose = async () => {
    await store.close();
    await remove();
  };
  return {
    store,
    readSnapshot: (request) => readSnapshot(storage, request),
    loadSnapshot: (load) => loadSnapshot(storage, load),
    leftBySnapshots: () => leftBySnapshots(dsn),
    dispose,
  };
}

async function leftBySnapshots(dsn: string): Promise<string[]> {
  const sessions = `select state from pg_stat_activity
    where application_name = 'authserver snapshot' and datname = current_database()`;
  return (await query(dsn, sessions)).map(({ state }) => `a session, ${state}`);
}
