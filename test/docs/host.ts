// Owns a host for runbooks: one installation in a folder of its own, and the commands that an operator has on such a host.
// `systemctl` and `docker compose` move the one real server there is.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { freePort } from '../setup/free-port.ts';
import { QUICK } from '../setup/quick.ts';
import type { Outcome } from '../setup/server.ts';

const REPOSITORY = path.join(import.meta.dirname, '..', '..');

/** In the folder that the operator works in. */
const RECOVERY_SHEET = 'recovery-sheet.txt';

/** Where things are on a real host; here each lies under the host's own root. */
const PLACES = [
  '/etc/authserver',
  '/var/lib/authserver',
  '/var/log/authserver',
  '/backup',
  '/backups',
  '/var/backups/authserver',
];
/** The PostgreSQL server of a runbook: a new database on the shared one, made when a command names it. */
const OTHER_DATABASE = 'postgres://authserver@db.internal/authserver';
/** As a path by itself: not as the end of another one, nor as the beginning of a longer name. */
const PLACE = new RegExp(`(?<![\\w./)-])(?:${PLACES.join('|')})(?![\\w-])`, 'g');

export class Host implements AsyncDisposable {
  readonly #root: string;
  readonly #storage: FreshStorage;
  readonly #env: Readonly<Record<string, string>>;
  #other: FreshStorage | undefined;

  private constructor(root: string, storage: FreshStorage, env: Readonly<Record<string, string>>) {
    this.#root = root;
    this.#storage = storage;
    this.#env = env;
  }

  /** A host with a server that runs, and with one user, `ada`. */
  static async make(engine: Engine, settings: Readonly<Record<string, string>> = {}): Promise<Host> {
    return Host.on(await freshStorage(engine), settings);
  }

  /** The same on a database that is there; the host disposes of it. */
  static async on(storage: FreshStorage, settings: Readonly<Record<string, string>> = {}): Promise<Host> {
    const root = await mkdtemp(path.join(tmpdir(), 'authserver-host-'));
    for (const place of PLACES) await mkdir(path.join(root, place), { recursive: true, mode: 0o700 });
    await writeFile(path.join(root, 'journal'), '');
    const config = path.join(root, '/etc/authserver/config.yaml');
    await writeFile(config, '# Most settings come from the environment here.\n');
    const port = await freePort();
    const env = {
      PATH: `${path.join(import.meta.dirname, 'host')}:${process.env['PATH']}`,
      HOME: root,
      NO_COLOR: '1',
      HOST_ROOT: root,
      HOST_REPOSITORY: REPOSITORY,
      HOST_NODE: process.execPath,
      HOST_COMMAND: path.join(REPOSITORY, 'bin', 'authserver'),
      AUTHSERVER_CONFIG: config,
      AUTHSERVER_STATE_DIR: path.join(root, '/var/lib/authserver'),
      AUTHSERVER_SERVER_ADDRESS: `:${port}`,
      AUTHSERVER_SERVER_ISSUER: `http://localhost:${port}`,
      AUTHSERVER_ADMIN_ADDRESS: `:${await freePort()}`,
      AUTHSERVER_ADMIN_API_KEY: 'an admin key for this host only',
      AUTHSERVER_STORAGE_DRIVER: storage.driver,
      ...(storage.driver === 'postgres' && {
        AUTHSERVER_STORAGE_POSTGRES_DSN: storage.dsn,
      }),
      ...QUICK,
      AUTHSERVER_RECOVERY_LOG: '',
      ...settings,
    };
    const host = new Host(root, storage, env);
    const started = await host.run(
      'systemctl start authserver && echo "correct horse battery" | authserver admin user create ada --password-stdin',
    );
    if (started.code !== 0) throw new Error(`the host does not start: ${started.stderr}`);
    await writeFile(path.join(root, RECOVERY_SHEET), sheetIn(await host.journal()), { mode: 0o600 });
    return host;
  }

  /** Runs a script in the operator's shell; paths of a real host mean those of this one. */
  async run(script: string): Promise<Outcome> {
    let here = script.replaceAll(PLACE, (place) => this.#root + place);
    if (here.includes(OTHER_DATABASE)) here = here.replaceAll(OTHER_DATABASE, await this.#otherDatabase());
    return runShell(here, { cwd: this.#root, env: this.#env });
  }

  /** What the server and the units have logged. */
  async journal(): Promise<string> {
    return readFile(path.join(this.#root, 'journal'), 'utf8');
  }

  async #otherDatabase(): Promise<string> {
    this.#other ??= await freshStorage({ name: 'postgres' });
    return this.#other.driver === 'postgres' ? this.#other.dsn : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run('systemctl stop authserver');
    await this.#storage.dispose();
    await this.#other?.dispose();
    await rm(this.#root, { recursive: true, force: true });
  }
}

/** What the first start printed once; the operator has written it down. */
function sheetIn(journal: string): string {
  const ready = journal.split('\n').find((line) => line.includes('"recovery_sheet"')) ?? '{}';
  return (JSON.parse(ready) as { readonly recovery_sheet?: string }).recovery_sheet ?? '';
}

/** Runs a script in bash to its end. */
export async function runShell(
  script: string,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<Outcome> {
  const shell = spawn('bash', ['-c', script], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = await Promise.all([text(shell.stdout), text(shell.stderr), once(shell, 'close')]);
  return { code: shell.exitCode, stdout, stderr };
}
