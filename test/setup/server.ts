// Owns the served product as the tests see it: the real command in a process of its own, on a free port, with a state
// directory of its own. Knows the command line and the ready line, nothing of the inside.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { type CommandOptions, type Outcome, runCommand } from './command.ts';
import type { FreshStorage } from './engines.ts';
import { freePort } from './free-port.ts';
import { QUICK } from './quick.ts';

export type { CommandOptions, Outcome } from './command.ts';

export const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'authserver');

/** Settings of the machine that runs the tests must not reach the product. */
const FOREIGN = /^(AUTHSERVER_|AUTHPLANE_|HELLOJOHN_|DATABASE_URL$|npm_)/;

/** With the folder that the process works in. */
export type ProcessOptions = CommandOptions & { readonly cwd?: string };

/** Runs `authserver ...args` to its end, with nothing of this process's own settings. */
export async function authserver(args: readonly string[], options: ProcessOptions = {}): Promise<Outcome> {
  const child = spawnAuthserver(args, options);
  child.stdin?.end(options.stdin ?? '');
  const [stdout, stderr] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close'),
  ]);
  return { code: child.exitCode, stdout, stderr };
}

/** What a process of the product may see of this one's environment. */
export function ownEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));
}

/** Starts `authserver ...args` and returns at once. */
export function spawnAuthserver(
  args: readonly string[],
  { env = {}, cwd }: ProcessOptions = {},
): ChildProcess {
  return spawn(process.execPath, [COMMAND, ...args], {
    env: { ...ownEnvironment(), NO_COLOR: '1', ...env },
    cwd: cwd ?? tmpdir(),
    stdio: 'pipe',
  });
}

export interface ServerOptions {
  /** From `freshStorage(engine)`; the test disposes of it. */
  readonly storage: FreshStorage;
  /** `AUTHSERVER_*` variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** The content of a configuration file. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The ready line, as `serve --json` prints it. */
interface ReadyLine {
  readonly issuer: string;
  readonly url: string;
  readonly admin_url: string;
  readonly pid: number;
  readonly admin_api_key?: string;
  readonly recovery_sheet?: string;
}

/** Starts a server and resolves once it is ready. Its port and issuer stay the same over stops and starts. */
export async function startServer(options: ServerOptions): Promise<TestServer> {
  const server = await TestServer.prepare(options);
  await server.start();
  return server;
}

export class TestServer {
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #configFile: string | undefined;
  readonly #port: number;
  #child: ChildProcess | undefined;
  #ready: ReadyLine | undefined;
  #adminApiKey: string | undefined;
  #recoverySheet: string | undefined;
  #log = '';
  #output = '';

  private constructor(
    stateDir: string,
    env: Readonly<Record<string, string>>,
    configFile: string | undefined,
    port: number,
  ) {
    this.stateDir = stateDir;
    this.env = env;
    this.#configFile = configFile;
    this.#port = port;
  }

  /** A server that has not been started yet, so that commands can run without one. */
  static async prepare({ storage, env = {}, config }: ServerOptions): Promise<TestServer> {
    const stateDir =
      storage.driver === 'sqlite' ? storage.dir : await mkdtemp(path.join(tmpdir(), 'authserver-state-'));
    const configFile = config && path.join(stateDir, 'authserver.yaml');
    if (configFile) await writeFile(configFile, stringify(config));
    const base = {
      AUTHSERVER_STATE_DIR: stateDir,
      AUTHSERVER_SERVER_ADDRESS: ':0',
      AUTHSERVER_ADMIN_ADDRESS: ':0',
      AUTHSERVER_STORAGE_DRIVER: storage.driver,
      ...(storage.driver === 'postgres' && { AUTHSERVER_STORAGE_POSTGRES_DSN: storage.dsn }),
      ...QUICK,
    };
    return new TestServer(stateDir, { ...base, ...env }, configFile, await freePort());
  }

  /** The public listener, such as http://127.0.0.1:40001. */
  get url(): string {
    return this.#started().url;
  }

  get adminUrl(): string {
    return this.#started().admin_url;
  }

  get issuer(): string {
    return this.#started().issuer;
  }

  get pid(): number {
    return this.#started().pid;
  }

  /** What the first start printed. */
  get adminApiKey(): string {
    if (this.#adminApiKey === undefined) throw new Error('The server printed no admin API key.');
    return this.#adminApiKey;
  }

  /** What opens its backups, as the first start printed it. */
  get recoverySheet(): string {
    if (this.#recoverySheet === undefined) throw new Error('The server printed no recovery sheet.');
    return this.#recoverySheet;
  }

  /** Everything it has written to standard error, over all its starts. */
  get log(): string {
    return this.#log;
  }

  /** Everything it has written to standard output, over all its starts. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    const child = spawnAuthserver(this.#arguments(['serve', '--json']), { env: this.#addressEnv() });
    this.#child = child;
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString();
    });
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#output += chunk.toString();
    });
    const lines = createInterface({ input: child.stdout! });
    const ready = once(lines, 'line').then(([line]) => JSON.parse(line as string) as ReadyLine);
    const ended = once(child, 'close').then(([code]) => {
      throw new Error(`The server ended with ${code} before it was ready.\n${this.#log}`);
    });
    ended.catch(() => undefined);
    this.#ready = await Promise.race([ready, ended]);
    this.#adminApiKey ??= this.#ready.admin_api_key;
    this.#recoverySheet ??= this.#ready.recovery_sheet;
  }

  /** SIGTERM, as an orchestrator would; its exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** SIGKILL: nothing in the process gets to finish anything. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Runs a command with the server's own settings, whether it runs or not, in this process. */
  cli(args: readonly string[], stdin?: string): Promise<Outcome> {
    return runCommand(this.#arguments(args), this.#commandOptions(stdin));
  }

  /** The same in a process of its own: for what it logs, the modes of its files, and what is in its environment. */
  process(args: readonly string[], stdin?: string): Promise<Outcome> {
    return authserver(this.#arguments(args), this.#commandOptions(stdin));
  }

  /** Kills it if it runs, and removes the state directory. */
  async dispose(): Promise<void> {
    await this.kill();
    await rm(this.stateDir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #commandOptions(stdin: string | undefined): CommandOptions {
    return { env: this.env, ...(stdin !== undefined && { stdin }) };
  }

  #arguments(args: readonly string[]): readonly string[] {
    return this.#configFile ? [...args, '--config', this.#configFile] : args;
  }

  /** The first start takes a free port; later ones come back to it, as clients expect. */
  #addressEnv(): Readonly<Record<string, string>> {
    if (!this.#ready) return this.#firstAddressEnv();
    const { port } = new URL(this.#ready.url);
    return {
      ...this.env,
      AUTHSERVER_SERVER_ADDRESS: `:${port}`,
      AUTHSERVER_SERVER_ISSUER: this.#ready.issuer,
    };
  }

  /** With port 0 a server asks for one that it then takes: among so many at once another may be quicker. */
  #firstAddressEnv(): Readonly<Record<string, string>> {
    const { AUTHSERVER_SERVER_ADDRESS: address, AUTHSERVER_SERVER_ISSUER: issuer } = this.env;
    if (address !== ':0' || this.#configFile !== undefined) return this.env;
    return {
      ...this.env,
      AUTHSERVER_SERVER_ADDRESS: `:${this.#port}`,
      AUTHSERVER_SERVER_ISSUER: issuer ?? `http://localhost:${this.#port}`,
    };
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (!child) return null;
    if (child.exitCode === null && child.signalCode === null) {
      const closed = once(child, 'close');
      child.kill(signal);
      await closed;
    }
    return child.exitCode;
  }

  #started(): ReadyLine {
    if (!this.#ready) throw new Error('The server has not been started.');
    return this.#ready;
  }
}
