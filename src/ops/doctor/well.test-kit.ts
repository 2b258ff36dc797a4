// Owns an installation with which nothing is wrong, as facts, and what each of its checks says when something is changed.

import type { RecoveryStatus } from '../point-in-time/status.ts';
import { checks } from './checks.ts';
import { chooseChecks, examine } from './examine.ts';
import type { Facts, KnownBackup, LogShelfFacts, Place, ShippedLogFacts, Sources } from './facts.ts';
import type { Finding, Status } from './finding.ts';

export const DAY = 86_400_000;
export const NOW = Date.UTC(2026, 5, 15, 12);

export const backup = (over: Partial<KnownBackup> = {}): KnownBackup => ({
  id: 'b-7',
  target: 'away',
  sequence: 7,
  madeAt: NOW - DAY / 2,
  size: 1000,
  state: 'verified',
  ...over,
});

/** The same on each of the targets. */
export const onBoth = [backup(), backup({ target: 'local' })];

export const place = (over: Partial<Place> = {}): Place => ({
  name: 'the database',
  role: 'database',
  path: '/data/authserver.db',
  type: 'ext4',
  mountPoint: '/',
  ...over,
});

export const target = {
  name: 'away',
  place: '/mnt/away',
  trouble: undefined,
  besideDatabase: false,
} as const;

const shelf = { name: 'away', trouble: undefined, last: 40, until: NOW, from: NOW - 2 * DAY, faults: [] };

/** On SQLite: a server that has shipped whatever it committed. */
export const SHIPPED: ShippedLogFacts & { readonly by: 'server' } = {
  by: 'server',
  serverRuns: true,
  batch: 40,
  shelves: [shelf],
  newestBackup: NOW - DAY / 2,
};

/** The same with something else on its target. */
export function shipped(over: Partial<LogShelfFacts>, rest: Partial<ShippedLogFacts> = {}): ShippedLogFacts {
  return { ...SHIPPED, ...rest, shelves: [{ ...shelf, ...over }] };
}

/** On PostgreSQL: an archive that nothing is wrong with. */
export const ARCHIVED: RecoveryStatus = {
  engine: 'postgres',
  by: 'pgbackrest',
  ok: true,
  recovery_lag_seconds: 30,
  window: { from: NOW - DAY, to: NOW },
  last_full: NOW - DAY,
  last_backup: NOW - DAY,
  seen_at: NOW,
  round_trip_at: NOW,
  round_trip_ms: 5000,
  archive_mode: 'on',
  segments_waiting: 0,
  archive_failures: 0,
  findings: [],
};

/** An installation with which nothing is wrong. */
export const WELL: Facts = {
  sqliteLibrary: { version: '3.53.4' },
  database: { name: 'db', trouble: undefined, isEmpty: false, pending: [] },
  sqliteFile: { path: '/data/authserver.db', journal: 'wal', wantsWal: true, hotJournal: undefined },
  integrity: { problems: [], skipped: '' },
  postgres: {
    version: '16.4',
    major: 16,
    settings: { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' },
    maxConnections: 100,
    reserved: 3,
    pool: 10,
    tools: [{ name: 'pg_dump', version: '16.1', major: 16 }],
  },
  places: [place()],
  space: { path: '/data', free: 3000, database: 1000, archive: 500 },
  modes: [
    { path: '/data/keys/a.pem', what: 'the signing key', mode: 0o600, isFolder: false, allowed: 'owner' },
  ],
  keys: { findings: [{ kid: 'a', state: 'active', ok: true, finding: 'signs', repair: null }] },
  clock: { now: NOW, known: [{ what: 'the newest audit event', at: NOW - 1000 }] },
  audit: { events: 12, fault: undefined, unread: false },
  backups: {
    now: NOW,
    since: NOW - 100 * DAY,
    maxAge: DAY,
    targets: [target, { ...target, name: 'local', besideDatabase: true }],
    backups: onBoth,
    remembered: { id: 'b-7', madeAt: NOW - DAY / 2 },
  },
  recoveryKey: { now: NOW, opens: 'recovery_key', confirmedAt: NOW - DAY },
  recoveryLog: SHIPPED,
  drills: {
    now: NOW,
    since: NOW - 200 * DAY,
    maxAge: 100 * DAY,
    last: { at: NOW - DAY, name: 'host-loss', passed: true },
  },
  safetyCopies: [],
  exposure: {
    adminHost: '127.0.0.1',
    publicHost: '0.0.0.0',
    issuer: 'https://auth.example.com',
    openMetrics: true,
    rateLimit: true,
    guessingLimit: true,
    openRegistration: false,
  },
  secrets: [{ name: 'backup.passphrase', isWeak: false, staysHere: false }],
  schedules: {
    now: NOW,
    maxAge: DAY,
    backup: '0 2 * * *',
    drill: 'off',
    together: undefined,
    lastVerified: NOW - DAY / 2,
  },
};

export type Changes = {
  readonly [Name in keyof Facts]?: Facts[Name] extends readonly unknown[]
    ? Facts[Name]
    : Partial<Facts[Name]>;
};

function changed(changes: Changes): Facts {
  const entries = Object.entries(WELL).map(([name, facts]) => {
    const change = changes[name as keyof Facts];
    if (change === undefined) return [name, facts];
    return [name, Array.isArray(change) ? change : { ...facts, ...change }];
  });
  return Object.fromEntries(entries) as Facts;
}

export function sourcesOf(facts: Facts, over: Partial<Sources> = {}): Sources {
  const entries = Object.entries(facts).map(([name, fact]) => [name, async () => fact]);
  return { ...(Object.fromEntries(entries) as Sources), ...over };
}

export async function look(id: string, changes: Changes): Promise<Finding> {
  const [finding] = await examine(chooseChecks(checks, [id]), sourcesOf(changed(changes)));
  return finding as Finding;
}

/** What is changed, and what the check says then. */
export type Case = readonly [what: string, changes: Changes, status: Status, said: RegExp];

export type Cases = Readonly<Record<string, readonly Case[]>>;
