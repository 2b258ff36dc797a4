// Owns a purge on a database of its own, with a clock that the test moves, and rows written past the store.

import { DatabaseSync } from 'node:sqlite';
import { AuditTrail } from '../../src/audit/trail.ts';
import { makeIds } from '../../src/kernel/ids.ts';
import { type Log, type LogFields, silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { Purge, type PurgeParts, type PurgeRequest } from '../../src/ops/purge.ts';
import type { PurgeProgress, PurgeReport } from '../../src/ops/purge-report.ts';
import type { PurgeRules } from '../../src/ops/purge-targets.ts';
import { NOW } from '../../src/store/conformance/rows.ts';
import { World } from '../../src/store/conformance/world.ts';
import type { Store } from '../../src/store/store.ts';
import { query } from '../setup/cluster.ts';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const RULES: PurgeRules = {
  margin: MINUTE / 2,
  longestCode: 10 * MINUTE,
  longestAccessToken: DAY,
  auditRetention: 365 * DAY,
  abandonedAfter: 30 * DAY,
};

const ALL: PurgeRequest = { only: null, timeout: 0, dry_run: false };

export interface Stage extends AsyncDisposable {
  readonly storage: FreshStorage;
  readonly store: Store;
  readonly world: World;
  readonly clock: { time: number; now(): number };
  /** What was logged: level, message, fields. */
  readonly lines: (readonly [string, string, LogFields])[];
  purgeWith(parts: Partial<PurgeParts>): Purge;
  purge(
    request?: Partial<PurgeRequest>,
    watch?: { signal?: AbortSignal; progress?: (now: PurgeProgress) => void; parts?: Partial<PurgeParts> },
  ): Promise<PurgeReport>;
  /** Runs SQL past the store. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
}

export async function stage(engine: Engine): Promise<Stage> {
  const storage = await freshStorage(engine);
  const clock = {
    time: NOW,
    now() {
      return this.time;
    },
  };
  const store = await openFreshStore(storageChoice(storage), clock);
  const lines: (readonly [string, string, LogFields])[] = [];
  const log = Object.fromEntries(
    Object.keys(silentLog).map((level) => [
      level,
      (fields: LogFields, message: string) => void lines.push([level, message, fields]),
    ]),
  ) as unknown as Log;
  const purgeWith = (parts: Partial<PurgeParts>) =>
    new Purge({
      store,
      clock,
      log,
      ids: makeIds(clock, systemRandom),
      audit: new AuditTrail({ store: store.audit, clock, log }),
      rules: RULES,
      aim: 10,
      isCrowded: () => false,
      runner: 'the test',
      ...parts,
    });
  return {
    ...{ storage, store, clock, lines, purgeWith },
    world: new World(store),
    purge: (request, { signal, progress, parts } = {}) =>
      purgeWith(parts ?? {}).run(
        { ...ALL, ...request },
        { signal: signal ?? new AbortController().signal, progress: progress ?? (() => undefined) },
        { actor: 'admin:operator', ip: null },
      ),
    sql: (text) => runSql(storage, text),
    async [Symbol.asyncDispose]() {
      await store.close();
      await storage.dispose();
    },
  };
}

/** Runs SQL on a database, whoever has it open. */
export async function runSql(
  storage: FreshStorage,
  text: string,
): Promise<readonly Record<string, unknown>[]> {
  if (storage.driver === 'postgres') return query(storage.dsn, text);
  using db = new DatabaseSync(storage.path, { timeout: 5000 });
  return db.prepare(text).all();
}
