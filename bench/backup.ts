/** How the making of a backup weighs on the writes beside it: ours, and what people run by hand for it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFirstRecoveryKey } from '../src/app/backup/identity.ts';
import { openRooms } from '../src/app/compose.ts';
import { loadConfig } from '../src/app/config.ts';
import { openStore, type StorageChoice } from '../src/app/open-store.ts';
import { silentLog } from '../src/kernel/log.ts';
import { ENGINES, type Engine, openArena, queryAll } from './arena.ts';
import type { CopyFigures, CopyJob } from './backup-server.ts';
import { summarize, type Waits, WRITES_A_SECOND } from './writers.ts';

export interface BackupResult {
  readonly engine: Engine;
  readonly way: string;
  /** What came of it; a sentence where there is nothing to measure. */
  readonly figures: CopyFigures | string;
}

export interface BackupReport {
  /** What a bare loop of one write and one fdatasync sees on the disk of these databases, with nothing beside it. */
  readonly disk: Waits;
  /** Bytes. */
  readonly databases: Readonly<Partial<Record<Engine, number>>>;
  readonly results: readonly BackupResult[];
}

export interface BackupRequest {
  /** MB of database. */
  readonly size: number;
  /** How long the writes are watched by themselves before each way. */
  readonly seconds: number;
  readonly engines: readonly string[];
  /** The folder of the programs of PostgreSQL, in the place of those of the tests. */
  readonly programs?: string;
}

type Way = { readonly name: string } & (Omit<CopyJob, 'seconds'> | { readonly missing: string });

const ROWS_A_MEGABYTE = { sqlite: 7000, postgres: 4800 };
/** How long a copy by hand may take, s: `.backup` begins again at every write, and may never be done. */
const BY_HAND_LIMIT = 30;
const BACKUP_LIMIT = 45;
const BACKUP = 'backup create, not tried';
const PROVEN = 'backup create';
const SERVER = path.join(import.meta.dirname, 'backup-server.ts');

export async function measureBackup(
  { size, seconds, engines, programs }: BackupRequest,
  running: AsyncDisposableStack,
): Promise<BackupReport> {
  console.error('the disk by itself ...');
  const disk = await measureDisk(seconds);
  const databases: Partial<Record<Engine, number>> = {};
  const results: BackupResult[] = [];
  for (const engine of ENGINES) {
    if (!engines.includes(engine)) continue;
    const rows = Math.round(size * ROWS_A_MEGABYTE[engine]);
    console.error(`filling ${rows} rows on ${engine} ...`);
    const folder = mkdtempSync(path.join(tmpdir(), 'authserver-bench-'));
    running.defer(() => rmSync(folder, { recursive: true, force: true }));
    const stateDir = path.join(folder, 'state');
    const options = {
      install: (empty: StorageChoice) => install(empty, stateDir),
      ...(programs && { programs }),
    };
    const arena = running.use(await openArena(engine, rows, options));
    const storage = await arena.take('live');
    databases[engine] = await sizeOf(storage);
    // The command keeps compiled code too.
    const env = { ...settingsOf(storage, stateDir), NODE_COMPILE_CACHE: path.join(folder, 'cache') };
    for (const { name, ...way } of await waysFor(storage, path.join(folder, 'copy'))) {
      console.error(`${name} on ${engine} ...`);
      const figures = 'missing' in way ? way.missing : await runServer({ seconds, ...way }, env, running);
      results.push({ engine, way: name, figures });
    }
  }
  return { disk, databases, results };
}

/** A commit of SQLite and nothing else: what stalls here is not the doing of any program that is measured. */
async function measureDisk(seconds: number): Promise<Waits> {
  const folder = mkdtempSync(path.join(tmpdir(), 'authserver-bench-'));
  try {
    await using file = await open(path.join(folder, 'disk'), 'w');
    const page = Buffer.alloc(4096, 1);
    const waits: number[] = [];
    const began = performance.now();
    for (let due = began; due < began + seconds * 1000; due += 1000 / WRITES_A_SECOND) {
      await sleep(Math.max(0, due - performance.now()));
      const from = performance.now();
      await file.write(page);
      await file.datasync();
      waits.push(performance.now() - from);
    }
    return summarize(waits);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function sizeOf(storage: StorageChoice): Promise<number> {
  if (storage.driver === 'sqlite') return statSync(storage.sqlite.path).size;
  const [row] = await queryAll(storage.postgres.dsn, ['select pg_database_size(current_database()) as size']);
  return Number(row?.['size']);
}

async function waysFor(storage: StorageChoice, file: string): Promise<readonly Way[]> {
  const ours: readonly Way[] = [
    { name: 'nothing', limit: BACKUP_LIMIT, way: { kind: 'nothing' } },
    { name: BACKUP, limit: BACKUP_LIMIT, way: { kind: 'backup', verify: false } },
    { name: PROVEN, limit: BACKUP_LIMIT, way: { kind: 'backup', verify: true } },
  ];
  if (storage.driver === 'postgres') return [...ours, await dumpOf(storage.postgres.dsn, file)];
  const byHand = (command: string, args: readonly string[]) =>
    ({ limit: BY_HAND_LIMIT, way: { kind: 'tool', command, args, file } }) as const;
  const { path: db } = storage.sqlite;
  const shell = 'sqlite3 .backup';
  return [
    ...ours,
    { name: 'VACUUM INTO', ...byHand(process.execPath, ['-e', VACUUM, db, file]) },
    versionOf('sqlite3') === undefined
      ? { name: shell, missing: 'skipped: there is no sqlite3 here' }
      : { name: shell, ...byHand('sqlite3', [db, `.backup '${file}'`]) },
  ];
}

const VACUUM = `const { DatabaseSync } = require('node:sqlite');
new DatabaseSync(process.argv[1], { timeout: 60000 }).prepare('vacuum into ?').run(process.argv[2]);`;

/** pg_dump refuses servers that are newer than itself. */
async function dumpOf(dsn: string, file: string): Promise<Way> {
  const name = 'pg_dump -Fc';
  const [row] = await queryAll(dsn, ['show server_version_num']);
  const server = Math.floor(Number(row?.['server_version_num']) / 10_000);
  const found = ['pg_dump', ...globSync('/usr/lib/postgresql/*/bin/pg_dump')].flatMap((command) => {
    const version = versionOf(command);
    return version === undefined ? [] : [{ command, version }];
  });
  const fit = found.find(({ version }) => version >= server);
  if (!fit) {
    const newest = found.length > 0 ? `that of ${Math.max(...found.map(({ version }) => version))}` : 'none';
    return {
      name,
      missing: `skipped: PostgreSQL ${server} needs a pg_dump as new, and here is ${newest}; see --postgres`,
    };
  }
  const args = ['-Fc', '-f', file, '-d', dsn];
  return { name, limit: BY_HAND_LIMIT, way: { kind: 'tool', command: fit.command, args, file } };
}

/** The first number of what a command says its version is; undefined where there is no such command. */
function versionOf(command: string): number | undefined {
  try {
    const said = execFileSync(command, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number.parseInt(/\d+/.exec(said)?.[0] ?? '', 10);
  } catch {
    return undefined;
  }
}

/** The first start of a server: its keys, and whom backups are encrypted to. */
async function install(storage: StorageChoice, stateDir: string): Promise<void> {
  const env = settingsOf(storage, stateDir);
  const { config } = await loadConfig({ file: undefined, terminal: false, env });
  const rooms = await openRooms(config, await openStore(storage, silentLog), silentLog);
  try {
    await makeFirstRecoveryKey(config, rooms.store, rooms);
  } finally {
    await rooms.close();
  }
}

function settingsOf(storage: StorageChoice, stateDir: string): Readonly<Record<string, string>> {
  return {
    AUTHSERVER_STATE_DIR: stateDir,
    AUTHSERVER_STORAGE_DRIVER: storage.driver,
    ...(storage.driver === 'sqlite'
      ? { AUTHSERVER_STORAGE_SQLITE_PATH: storage.sqlite.path }
      : { AUTHSERVER_STORAGE_POSTGRES_DSN: storage.postgres.dsn }),
  };
}

async function runServer(
  job: CopyJob,
  settings: Readonly<Record<string, string>>,
  running: AsyncDisposableStack,
): Promise<CopyFigures> {
  const child = spawn(process.execPath, [SERVER, JSON.stringify(job)], {
    env: { ...process.env, NODE_ENV: 'production', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.defer(() => void child.kill());
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`the server of the bench ended with ${code}`);
  return JSON.parse(said) as CopyFigures;
}
