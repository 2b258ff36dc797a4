/** Databases that are filled once and taken several times: where a chore meets the writes beside it. */
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { migrateSchema, type StorageChoice } from '../src/app/open-store.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { silentLog } from '../src/kernel/log.ts';
import { systemRandom } from '../src/kernel/random.ts';
import { startCluster } from '../test/setup/cluster.ts';
import { fillStatements } from './fill-rows.ts';

export const ENGINES = ['sqlite', 'postgres'] as const;
export type Engine = (typeof ENGINES)[number];

export interface Arena extends AsyncDisposable {
  /** A copy of the filled database. */
  take(name: string): Promise<StorageChoice>;
}

const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };
const MIGRATION = { clock: systemClock, random: systemRandom, log: silentLog };

/** What is done with the migrated database while nothing is in it yet. */
type Install = (storage: StorageChoice) => Promise<void>;

export interface ArenaOptions {
  readonly install?: Install;
  /** The folder of the programs of PostgreSQL, in the place of those of the tests. */
  readonly programs?: string;
}

/** Fills one. PostgreSQL is a server of its own, and as durable as SQLite is. */
export function openArena(engine: Engine, rows: number, options: ArenaOptions = {}): Promise<Arena> {
  const { install = async () => undefined, programs } = options;
  return engine === 'sqlite' ? sqliteArena(rows, install) : postgresArena(rows, install, programs);
}

/** How long the write-ahead log of SQLite is, bytes; null where the engine keeps its own. */
export function walBytes(storage: StorageChoice): number | null {
  if (storage.driver !== 'sqlite') return null;
  return statSync(`${storage.sqlite.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

/** One after the other, on a connection of their own; the rows of the last. */
export async function queryAll(dsn: string, texts: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: dsn });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const text of texts) rows = (await client.query<Record<string, unknown>>(text)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

async function sqliteArena(rows: number, install: Install): Promise<Arena> {
  const dir = mkdtempSync(path.join(tmpdir(), 'authserver-bench-'));
  const dispose = async () => rmSync(dir, { recursive: true, force: true });
  const choice = (file: string) => ({ driver: 'sqlite', sqlite: { path: file, wal: true } }) as const;
  const filled = path.join(dir, 'filled.db');
  try {
    await migrateSchema(choice(filled), MIGRATION);
    await install(choice(filled));
    const { DatabaseSync } = await import('node:sqlite');
    const db = new DatabaseSync(filled);
    db.exec('pragma synchronous = off; pragma cache_size = -400000; begin');
    for (const text of fillStatements('sqlite', rows, Date.now())) db.exec(text);
    db.exec('commit; pragma wal_checkpoint(truncate)');
    db.close();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    async take(name) {
      const file = path.join(dir, `${name}.db`);
      copyFileSync(filled, file);
      await settle(file);
      return choice(file);
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** What was just copied must not be on its way to the disk while others are measured there. */
async function settle(file: string): Promise<void> {
  await using handle = await open(file, 'r+');
  await handle.sync();
  await sleep(2000);
}

async function postgresArena(rows: number, install: Install, programs: string | undefined): Promise<Arena> {
  const cluster = await startCluster(DURABLE, programs);
  const choice = (database: string) =>
    ({
      driver: 'postgres',
      postgres: {
        dsn: cluster.dsn(database),
        maxConnections: 10,
        connectTimeout: 5000,
        statementTimeout: 600_000,
      },
    }) as const;
  try {
    await queryAll(cluster.dsn(), ['create database filled']);
    await migrateSchema(choice('filled'), MIGRATION);
    await install(choice('filled'));
    const texts = fillStatements('postgres', rows, Date.now());
    await queryAll(cluster.dsn('filled'), [...texts, 'vacuum analyze']);
  } catch (error) {
    await cluster.dispose();
    throw error;
  }
  return {
    async take(name) {
      await queryAll(cluster.dsn(), [`create database ${name} template filled`, 'checkpoint']);
      return choice(name);
    },
    [Symbol.asyncDispose]: () => cluster.dispose(),
  };
}
