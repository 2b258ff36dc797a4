/** The purge with the settings of this installation, and its schedule inside a server. */
import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import type { AuditTrail } from '../audit/trail.ts';
import type { Clock } from '../kernel/clock.ts';
import { parseDuration } from '../kernel/duration.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Log } from '../kernel/log.ts';
import type { Meter } from '../kernel/metrics.ts';
import type { Random } from '../kernel/random.ts';
import { Purge } from '../ops/purge.ts';
import { schedulePurge } from '../ops/purge-schedule.ts';
import { LONGEST_ACCESS_TOKEN, LONGEST_CODE } from '../registry/lifetimes.ts';
import type { Store } from '../store/store.ts';
import type { Config } from './config.ts';

interface Parts {
  readonly config: Config;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly meter?: Meter;
}

/**
 * How long a step may hold writes up, ms. On SQLite all writes wait for it; on PostgreSQL only those of the same rows, which
 * are none, and each step costs round trips.
 */
export const AIM = { sqlite: 5, postgres: 8 } as const;
/** A write-ahead log of SQLite that is longer than this is held up by a reader elsewhere, bytes. */
const LONG_LOG = 32 * 2 ** 20;

export function makePurge({ config, ...parts }: Parts): Purge {
  const { signing, audit, dcr, storage } = config;
  return new Purge({
    ...parts,
    rules: {
      margin: signing.clock_skew,
      longestCode: parseDuration(LONGEST_CODE) ?? 0,
      longestAccessToken: parseDuration(LONGEST_ACCESS_TOKEN) ?? 0,
      auditRetention: audit.retention,
      abandonedAfter: dcr.abandoned_after,
    },
    aim: AIM[storage.driver],
    isCrowded: () => storage.driver === 'sqlite' && logLength(storage.sqlite.path) > LONG_LOG,
    runner: `${hostname()}, process ${process.pid}`,
  });
}

function logLength(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

/** Purges at intervals while a server serves; undefined where the settings say no. */
export function purgeOnSchedule({
  config,
  purge,
  store,
  clock,
  random,
  log,
}: Omit<Parts, 'meter'> & { readonly purge: Purge; readonly random: Random }): AsyncDisposable | undefined {
  if (!config.purge.enabled) return undefined;
  const { settings } = store;
  return schedulePurge({ purge, settings, clock, random, log, interval: config.purge.interval });
}
