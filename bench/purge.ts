/** How a purge of nearly everything weighs on the writes beside it: ours, and the one DELETE that people write by hand. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { openStore, type StorageChoice } from '../src/app/open-store.ts';
import { AIM } from '../src/app/purge.ts';
import { AuditTrail } from '../src/audit/trail.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { makeIds } from '../src/kernel/ids.ts';
import { silentLog } from '../src/kernel/log.ts';
import { systemRandom } from '../src/kernel/random.ts';
import { Purge } from '../src/ops/purge.ts';
import type { Store } from '../src/store/store.ts';
import { ENGINES, type Engine, openArena, queryAll } from './arena.ts';
import { besideWrites } from './writers.ts';

export interface PurgeResult {
  readonly engine: Engine;
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

export async function measurePurge(
  rows: number,
  engines: readonly string[],
  running: AsyncDisposableStack,
): Promise<readonly PurgeResult[]> {
  const results: PurgeResult[] = [];
  for (const engine of ENGINES) {
    if (!engines.includes(engine)) continue;
    console.error(`filling ${rows} rows on ${engine} ...`);
    const arena = running.use(await openArena(engine, rows));
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

async function measure(
  storage: StorageChoice,
  way: PurgeResult['way'],
): Promise<Omit<PurgeResult, 'engine' | 'way'>> {
  const store = await openStore(storage, silentLog);
  const copy = { store, storage };
  try {
    const load = loadavg()[0] ?? 0;
    const before = await besideWrites(copy, () => sleep(5000));
    const { result, seconds, waits, wal } = await besideWrites(copy, () =>
      way === 'purge' ? purge(store, storage) : deleteAtOnce(storage).then(() => 0),
    );
    const mib = wal === null ? null : wal / 2 ** 20;
    return { rows: result, seconds, ...waits, longestBefore: before.waits.longest, wal: mib, load };
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

/** What people write: the statements that would take away the same rows at once, one a table, on a connection of its own. */
async function deleteAtOnce(storage: StorageChoice): Promise<void> {
  const now = Date.now();
  const tables = ['issuances', 'refresh_tokens', 'token_families', 'sessions', 'assertion_jtis'];
  const texts = tables.map((table) => `delete from ${table} where expires_at < ${now}`);
  if (storage.driver === 'postgres') {
    await queryAll(storage.postgres.dsn, texts);
    return;
  }
  const program = `const {DatabaseSync}=require('node:sqlite');const db=new DatabaseSync(process.argv[1],{timeout:60000});${JSON.stringify(texts)}.forEach((text)=>db.exec(text));`;
  const child = spawn(process.execPath, ['-e', program, storage.sqlite.path], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('the one DELETE failed');
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
