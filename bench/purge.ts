/** How a purge of nearly everything weighs on the writes beside it: ours, and the one DELETE that people write by hand. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { migrateSchema, openStore, type StorageChoice } from '../src/app/open-store.ts';
import { AIM } from '../src/app/purge.ts';
import { AuditTrail } from '../src/audit/trail.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { makeIds } from '../src/kernel/ids.ts';
import { silentLog } from '../src/kernel/log.ts';
import { systemRandom } from '../src/kernel/random.ts';
import { Purge } from '../src/ops/purge.ts';
import type { Store } from '../src/store/store.ts';
import { startCluster } from '../test/setup/cluster.ts';
import { fillStatements, oneDelete } from './purge-rows.ts';

export interface PurgeResult {
  readonly engine: 'sqlite' | 'postgres';
  readonly way: 'purge' | 'one DELETE';
  readonly rows: number;
  readonly seconds: number;
  readonly writes: number;
  /** ms */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** The longest wait of as many writes before it, with nothing beside them, ms. */
  readonly longestBefore: number;
  /** MiB; null where the engine keeps its own. */
  readonly wal: number | null;
  /** The load of the machine before it began. */
  readonly load: number;
}

const WRITES_A_SECOND = 200;
/** A write that fails for longer than any statement takes has another reason, ms. */
const LOST_PATIENCE = 600_000;
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };

/** A database that is filled once and taken twice. */
export interface Arena extends AsyncDisposable {
  /** A copy of it. */
  take(name: string): Promise<Copy>;
}

export interface Copy {
  readonly storage: StorageChoice;
  walBytes(): number | null;
  /** The one statement, on a connection of its own; resolves when it is done. */
  deleteAtOnce(): Promise<void>;
}

export async function measurePurge(
  rows: number,
  engines: readonly string[],
  running: AsyncDisposableStack,
): Promise<readonly PurgeResult[]> {
  const results: PurgeResult[] = [];
  for (const engine of ['sqlite', 'postgres'] as const) {
    if (!engines.includes(engine)) continue;
    console.error(`filling ${rows} rows on ${engine} ...`);
    const arena = running.use(await (engine === 'sqlite' ? sqliteArena(rows) : postgresArena(rows)));
    for (const way of ['purge', 'one DELETE'] as const) {
      console.error(`${way} on ${engine} ...`);
      results.push({
        engine,
        way,
        ...(await measure(await arena.take(way.toLowerCase().replace(' ', '_')), way)),
      });
    }
  }
  return results;
}

async function measure(copy: Copy, way: PurgeResult['way']): Promise<Omit<PurgeResult, 'engine' | 'way'>> {
  const store = await openStore(copy.storage, silentLog);
  try {
    const load = loadavg()[0] as number;
    const before = new Writers(store);
    await sleep(5000);
    const { longest: longestBefore } = await before.stop();
    let wal = 0;
    const watch = setInterval(() => {
      wal = Math.max(wal, copy.walBytes() ?? 0);
    }, 20);
    const writers = new Writers(store);
    const began = performance.now();
    const rows = way === 'purge' ? await purge(store, copy.storage) : await copy.deleteAtOnce().then(() => 0);
    const seconds = (performance.now() - began) / 1000;
    const waits = await writers.stop();
    clearInterval(watch);
    const mib = copy.walBytes() === null ? null : wal / 2 ** 20;
    return { rows, seconds, ...waits, longestBefore, wal: mib, load };
  } finally {
    await store.close();
  }
}

async function purge(store: Store, storage: StorageChoice): Promise<number> {
  const clock = systemClock;
  const minute = 60_000;
  const runner = new Purge({
    store,
    clock,
    ids: makeIds(clock, systemRandom),
    log: silentLog,
    audit: new AuditTrail({ store: store.audit, clock, log: silentLog }),
    rules: {
      margin: 0,
      longestCode: minute,
      longestAccessToken: minute,
      auditRetention: 0,
      abandonedAfter: 0,
    },
    isCrowded: () => false,
    aim: AIM[storage.driver],
    runner: 'bench',
  });
  const request = { only: null, timeout: 0, dry_run: false };
  const watch = { progress: () => undefined, signal: new AbortController().signal };
  const report = await runner.run(request, watch, { actor: 'system', ip: null });
  if (report.outcome !== 'completed') throw new Error(`the purge ended as ${JSON.stringify(report)}`);
  return report.rows;
}

/** Writes at a steady rate, each a token that is recorded; a wait counts from the moment at which the write was due. */
export class Writers {
  readonly #waits: number[] = [];
  readonly #done: Promise<unknown>;
  #stopped = false;

  constructor(store: Store) {
    this.#done = this.#go(store);
  }

  async #go(store: Store): Promise<void> {
    const began = performance.now();
    const underway: Promise<void>[] = [];
    const ids = makeIds(systemClock, systemRandom);
    for (let n = 0; !this.#stopped; n++) {
      const due = began + (n * 1000) / WRITES_A_SECOND;
      const early = due - performance.now();
      if (early > 0) await sleep(early);
      underway.push(this.#write(store, ids.next('at'), due));
    }
    await Promise.all(underway);
  }

  async #write(store: Store, jti: string, due: number): Promise<void> {
    const now = Date.now();
    const issuance = {
      ...{ jti, family_id: null, user_id: null, client_id: 'bench', kid: 'key' },
      ...{ issued_at: now, expires_at: now + 3_600_000, revoked_at: null },
    };
    for (;;) {
      try {
        await store.issuances.record({ issuance });
        break;
      } catch (error) {
        // Behind the one statement SQLite says for a while that it is locked.
        if (performance.now() - due > LOST_PATIENCE) throw error;
        await sleep(10);
      }
    }
    this.#waits.push(performance.now() - due);
    await store.issuances.findLive({ jti, now });
  }

  async stop(): Promise<Pick<PurgeResult, 'writes' | 'p50' | 'p99' | 'longest'>> {
    this.#stopped = true;
    await this.#done;
    const waits = this.#waits.sort((a, b) => a - b);
    const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0;
    return { writes: waits.length, p50: at(0.5), p99: at(0.99), longest: at(1) };
  }
}

export async function sqliteArena(rows: number): Promise<Arena> {
  const dir = mkdtempSync(path.join(tmpdir(), 'authserver-bench-'));
  const choice = (file: string) => ({ driver: 'sqlite', sqlite: { path: file, wal: true } }) as const;
  const filled = path.join(dir, 'filled.db');
  await migrateSchema(choice(filled), { clock: systemClock, random: systemRandom, log: silentLog });
  const { DatabaseSync } = await import('node:sqlite');
  const db = new DatabaseSync(filled);
  db.exec('pragma synchronous = off; pragma cache_size = -400000; begin');
  for (const text of fillStatements('sqlite', rows, Date.now())) db.exec(text);
  db.exec('commit; pragma wal_checkpoint(truncate)');
  db.close();
  return {
    async take(name) {
      const file = path.join(dir, `${name}.db`);
      copyFileSync(filled, file);
      await settle(file);
      return {
        storage: choice(file),
        walBytes: () => statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0,
        async deleteAtOnce() {
          const program = `const {DatabaseSync}=require('node:sqlite');const db=new DatabaseSync(process.argv[1],{timeout:60000});${JSON.stringify(oneDelete(Date.now()))}.forEach((text)=>db.exec(text));`;
          const child = spawn(process.execPath, ['-e', program, file], { stdio: 'inherit' });
          const [code] = await once(child, 'exit');
          if (code !== 0) throw new Error('the one DELETE failed');
        },
      };
    },
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** What was just copied must not be on its way to the disk while others are measured there. */
async function settle(file: string): Promise<void> {
  await using handle = await open(file, 'r+');
  await handle.sync();
  await sleep(2000);
}

export async function postgresArena(rows: number): Promise<Arena> {
  const cluster = await startCluster(DURABLE);
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
  const query = async (database: string, texts: readonly string[]) => {
    const client = new Client({ connectionString: cluster.dsn(database) });
    await client.connect();
    for (const text of texts) await client.query(text);
    await client.end();
  };
  await query('postgres', ['create database filled']);
  await migrateSchema(choice('filled'), { clock: systemClock, random: systemRandom, log: silentLog });
  await query('filled', [...fillStatements('postgres', rows, Date.now()), 'vacuum analyze']);
  return {
    async take(name) {
      await query('postgres', [`create database ${name} template filled`, 'checkpoint']);
      return {
        storage: choice(name),
        walBytes: () => null,
        deleteAtOnce: () => query(name, oneDelete(Date.now())),
      };
    },
    [Symbol.asyncDispose]: () => cluster.dispose(),
  };
}

/** What the product is held to, beside the statement that it is compared with. */
const LONGEST_WAIT = 50;
const LARGEST_WAL = 64;

export function purgeText(results: readonly PurgeResult[]): string {
  const ms = (value: number) => value.toFixed(1);
  const lines = results.map(
    ({ engine, way, rows, seconds, writes, p50, p99, longest, longestBefore, wal, load }) =>
      `| ${engine} | ${way} | ${rows || ''} | ${seconds.toFixed(1)} | ${writes} | ${ms(p50)} | ${ms(p99)} | ${ms(longest)} | ${ms(longestBefore)} | ${wal === null ? '' : wal.toFixed(1)} | ${load.toFixed(2)} |`,
  );
  return [
    '| engine | way | rows gone | s | writes beside it | p50 ms | p99 ms | longest ms | longest before ms | WAL MiB | load before |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...lines,
    '',
    `Target: longest wait <= ${LONGEST_WAIT} ms: ${met(results, ({ longest }) => longest <= LONGEST_WAIT)}; WAL <= ${LARGEST_WAL} MiB: ${met(results, ({ wal }) => wal === null || wal <= LARGEST_WAL)}.`,
    'Where the longest wait before, with nothing beside the writes, is near the target or above it, the disk or others are what is measured.',
  ].join('\n');
}

function met(results: readonly PurgeResult[], holds: (result: PurgeResult) => boolean): string {
  const ours = results.filter(({ way }) => way === 'purge');
  return ours.map((result) => `${result.engine} ${holds(result) ? 'met' : 'NOT MET'}`).join(', ');
}
