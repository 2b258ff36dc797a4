/** The servers that are compared: each one a process of its own, set up with the same client, user and API. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Cluster, startCluster } from '../test/setup/cluster.ts';
import { TestServer } from '../test/setup/server.ts';
import { bench } from './scenarios.ts';

export const contenderNames = {
  sqlite: 'authserver on SQLite',
  postgres: 'authserver on PostgreSQL',
  peer: 'oidc-provider in memory',
  bare: 'bare node:http',
} as const;

export type ContenderName = keyof typeof contenderNames;

/** A server that serves. */
export interface Contender extends AsyncDisposable {
  readonly name: ContenderName;
  readonly url: string;
  readonly pid: number;
}

/** Starts it and sets it up. */
export function startContender(name: ContenderName): Promise<Contender> {
  switch (name) {
    case 'sqlite':
      return startOnSqlite();
    case 'postgres':
      return startOnPostgres();
    case 'peer':
      return startPeer('peer', 'oidc-provider.ts');
    case 'bare':
      return startPeer('bare', 'bare.ts');
  }
}

/** What the product is measured with; all else is as it comes. */
const SETTINGS = {
  NODE_ENV: 'production',
  AUTHSERVER_RATE_LIMIT_ENABLED: 'false',
  AUTHSERVER_OBSERVABILITY_LOGGING_LEVEL: 'warn',
};

/** The product on SQLite in a folder of its own, not started yet. */
export function prepareOnSqlite(): Promise<TestServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'authserver-bench-'));
  const dispose = async () => undefined;
  const storage = { driver: 'sqlite', path: '', dir, dispose, [Symbol.asyncDispose]: dispose } as const;
  return TestServer.prepare({ storage, env: SETTINGS });
}

async function startOnSqlite(): Promise<Contender> {
  const server = await prepareOnSqlite();
  await using undo = new AsyncDisposableStack();
  undo.use(server);
  await server.start();
  await seed(server);
  const opened = undo.move();
  return contender('sqlite', server, () => opened.disposeAsync());
}

async function startOnPostgres(): Promise<Contender> {
  await using undo = new AsyncDisposableStack();
  const cluster = await startCluster(DURABLE);
  undo.defer(() => cluster.dispose());
  const server = await TestServer.prepare({ storage: storageOn(cluster), env: SETTINGS });
  undo.use(server);
  await server.start();
  await seed(server);
  const opened = undo.move();
  return contender('postgres', server, () => opened.disposeAsync());
}

/** What the tests turn off for speed is what is measured here. */
const DURABLE = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' };

function storageOn(cluster: Cluster) {
  const dispose = async () => undefined;
  return { driver: 'postgres', dsn: cluster.dsn(), dispose, [Symbol.asyncDispose]: dispose } as const;
}

async function seed(server: TestServer): Promise<void> {
  await administer(server, [
    'resource',
    'create',
    '--uri',
    bench.resource,
    '--scope',
    `${bench.scope}=Bench`,
  ]);
  await administer(
    server,
    [
      ...['client', 'create', '--id', bench.client_id, '--name', 'Bench', '--secret-stdin', '--skip-consent'],
      ...['--auth-method', 'client_secret_post', '--redirect-uri', bench.redirect_uri],
      ...['authorization_code', 'refresh_token', 'client_credentials'].flatMap((grant) => [
        '--grant-type',
        grant,
      ]),
      ...['--scope', `openid ${bench.scope}`],
    ],
    bench.client_secret,
  );
  await administer(server, ['user', 'create', bench.username, '--password-stdin'], bench.password);
}

async function administer(server: TestServer, args: readonly string[], stdin?: string): Promise<void> {
  const { code, stderr, stdout } = await server.cli(['admin', ...args], stdin);
  if (code !== 0)
    throw new Error(`authserver admin ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
}

async function startPeer(name: ContenderName, file: string): Promise<Contender> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'peers', file)], {
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { url } = JSON.parse(await firstLine(child)) as { url: string };
  return contender(name, { url, pid: child.pid ?? 0 }, async () => {
    const closed = once(child, 'close');
    child.kill();
    await closed;
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('the child has no standard output');
  const line = once(createInterface({ input: child.stdout }), 'line');
  const ended = once(child, 'close').then(([code]) => {
    throw new Error(`${child.spawnargs.join(' ')} ended with ${code} before it was ready`);
  });
  ended.catch(() => undefined);
  return (await Promise.race([line, ended]))[0] as string;
}

function contender(
  name: ContenderName,
  { url, pid }: Pick<Contender, 'url' | 'pid'>,
  stop: () => Promise<void>,
): Contender {
  return { name, url, pid, [Symbol.asyncDispose]: stop };
}

/** Memory that a process holds right now, MB (10^6 bytes). */
export async function residentMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / 1e6;
}

/** Processor time that a process has used so far in all its threads, ms. */
export async function processorTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // After the name, which may hold anything: state is field 3, utime 14, stime 15, in ticks of 10 ms (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
