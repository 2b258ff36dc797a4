// Owns a PostgreSQL server of this machine's packages, with pgBackRest beside it, which the servers of the tests lack.
// Its folder is gone with the process that asked for it. Knows nothing of the product.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chmodSync, chownSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './free-port.ts';

const PROGRAMS = globSync('/usr/lib/postgresql/*/bin').sort(byVersion).at(-1);

/** Why there is no such server here; undefined where there is one. */
export const noArchivingCluster: string | undefined = whyNot();

const GUARD = `
folder=$1; shift
"$@" & server=$!
if read -r word; then kill -INT $server; wait $server; exit; fi
kill -QUIT $server; wait $server
cd / && rm -rf "$folder"
`;

const READY = 'database system is ready to accept connections';

export class ArchivingCluster implements AsyncDisposable {
  /** Belongs to the user who runs the server. */
  readonly folder: string;
  readonly #port: number;
  readonly #account: { uid?: number; gid?: number };
  #guard: ChildProcess | undefined;

  private constructor(folder: string, port: number, account: { uid?: number; gid?: number }) {
    this.folder = folder;
    this.#port = port;
    this.#account = account;
  }

  static async start(): Promise<ArchivingCluster> {
    const folder = mkdtempSync(path.join(tmpdir(), 'authserver-at-'));
    const account = accountOfServer();
    if (account.uid !== undefined) chownSync(folder, account.uid, account.gid ?? account.uid);
    chmodSync(folder, 0o755);
    const cluster = new ArchivingCluster(folder, await freePort(), account);
    const options = ['--locale=C', '--encoding=UTF8', '--auth=trust', '--username=postgres', '--no-sync'];
    cluster.run(path.join(PROGRAMS ?? '', 'initdb'), [...options, `--pgdata=${cluster.dataDirectory}`]);
    await cluster.restart();
    return cluster;
  }

  get dataDirectory(): string {
    return path.join(this.folder, 'data');
  }

  get dsn(): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/postgres`;
  }

  /** Runs a program as the user of the server, to its end. */
  run(program: string, words: readonly string[]): string {
    const options = { ...this.#account, cwd: '/', env: { PATH: '/usr/bin:/bin' }, encoding: 'utf8' } as const;
    return execFileSync(program, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async restart(): Promise<void> {
    await this.#end('stop\n');
    const settings = {
      fsync: 'off',
      listen_addresses: '127.0.0.1',
      port: String(this.#port),
      unix_socket_directories: this.folder,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = [path.join(PROGRAMS ?? '', 'postgres'), '-D', this.dataDirectory, ...flags];
    const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', this.folder, ...server], {
      ...this.#account,
      cwd: this.folder,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.#guard = guard;
    const said: string[] = [];
    for await (const line of createInterface({ input: guard.stderr! })) {
      said.push(line);
      if (line.includes(READY)) break;
    }
    if (!said.at(-1)?.includes(READY)) throw new Error(`PostgreSQL did not start:\n${said.join('\n')}`);
    guard.stderr?.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #end(lastWord: string): Promise<void> {
    const guard = this.#guard;
    this.#guard = undefined;
    if (!guard) return;
    const exited = once(guard, 'exit');
    guard.stdin?.end(lastWord);
    await exited;
  }
}

function whyNot(): string | undefined {
  if (PROGRAMS === undefined) return 'no PostgreSQL in /usr/lib/postgresql';
  try {
    accessSync('/usr/bin/pgbackrest');
    accountOfServer();
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? 'pgbackrest is not installed' : String(error);
  }
}

/** PostgreSQL refuses to be root. */
function accountOfServer(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const [, , uid, gid] = lines.map((line) => line.split(':')).find(([name]) => name === 'postgres') ?? [];
  if (uid === undefined) throw new TypeError('there is no user `postgres`');
  return { uid: Number(uid), gid: Number(gid) };
}

function byVersion(a: string, b: string): number {
  const version = (folder: string) => Number(folder.split('/').at(-2));
  return version(a) - version(b);
}
