/**
 * The admin API as a function: over the socket of the server that runs on this state directory, or in this process where
 * none runs. So each administrative verb exists once, as a route of the admin API.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { json as readJson } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, type FailureCode } from '../kernel/errors.ts';
import { findAdminSocket } from './admin-socket.ts';
import type { Config } from './config.ts';
import { finishRestore, settleRestore } from './restore/finish.ts';
import { lockOwner, prepareStateDir, type StateLock, tryLock } from './state-dir.ts';

// Importing node:http instead would also load what stands behind its re-exports: fetch, a tenth of a command's time.
const { request: httpRequest } = process.getBuiltinModule('node:http');

/** An answer of the admin API with a status below 400. */
export interface AdminAnswer {
  readonly status: number;
  /** The parsed JSON; undefined where there is none. */
  readonly body: unknown;
}

export type AdminMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The admin API, whoever serves it. */
export interface AdminClient {
  /**
   * Calls a route, such as `request('POST', '/admin/users', {...})`. An error answer (RFC 9457) is thrown as the Failure
   * that it describes, with its code, sentence and hint.
   */
  request(method: AdminMethod, path: string, body?: object): Promise<AdminAnswer>;
  close(): Promise<void>;
}

/** How long a server may take to start or to stop before we give up on it, ms. */
const PATIENCE = 10_000;

/** Failures: `unavailable` when somebody holds the state directory and does not answer. */
export async function openAdminClient(config: Config): Promise<AdminClient> {
  const owner = await findOwner(config);
  return 'socket' in owner ? overSocket(owner.socket) : openInProcess(config, owner.lock);
}

/** Who may write: the server that answers on a socket, or this process, with the lock where there is one. */
export type Owner = { readonly socket: string } | { readonly lock: StateLock | undefined };

/** Failures: `unavailable` when somebody holds the state directory and does not answer. */
export async function findOwner(config: Config): Promise<Owner> {
  prepareStateDir(config.state_dir);
  // On PostgreSQL any number of processes may write; they meet in the database.
  if (config.storage.driver === 'postgres') {
    await settleRestore(config);
    return { lock: undefined };
  }
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const socket = await findAdminSocket(config.state_dir);
    if (socket !== undefined) return { socket };
    const lock = tryLock(config);
    if (lock) {
      await finishRestore(config).catch((error: unknown) => {
        lock.release();
        throw error;
      });
      return { lock };
    }
    if (Date.now() > deadline) throw silentOwner(config.state_dir);
    await sleep(50);
  }
}

function silentOwner(stateDir: string): Failure {
  const owner = lockOwner(stateDir);
  return new Failure(
    'unavailable',
    `The state directory ${stateDir} belongs to ${owner}, which does not answer.`,
    {
      hint: `See what ${owner} is doing; once it answers or has ended, run the command again.`,
    },
  );
}

function overSocket(socketPath: string): AdminClient {
  return {
    request: (method, path, body) => sendOverSocket(socketPath, method, path, body),
    close: async () => {},
  };
}

async function sendOverSocket(
  socketPath: string,
  method: AdminMethod,
  path: string,
  body: object | undefined,
): Promise<AdminAnswer> {
  const response = await askOverSocket(socketPath, method, path, body);
  const isJson = /\bjson\b/.test(response.headers['content-type'] ?? '');
  const value = isJson ? await readJson(response) : response.resume() && undefined;
  return answer(response.statusCode ?? 0, value);
}

/** Sends a request to the server behind a socket; its response, unread. Failures: `unavailable`. */
export async function askOverSocket(
  socketPath: string,
  method: AdminMethod,
  path: string,
  body?: object,
): Promise<IncomingMessage> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const sent = httpRequest({ socketPath, method, path, headers, agent: false });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  try {
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  } catch (cause) {
    throw new Failure('unavailable', 'The server went away.', { cause });
  }
}

async function openInProcess(config: Config, lock: StateLock | undefined): Promise<AdminClient> {
  try {
    const { openAdminInProcess } = await import('./admin-server.ts');
    const { app, close } = await openAdminInProcess(config);
    return {
      async request(method, path, body) {
        const response = await app.inject({ method, url: path, ...(body && { payload: body }) });
        return answer(response.statusCode, response.body === '' ? undefined : response.json());
      },
      async close() {
        await close();
        lock?.release();
      },
    };
  } catch (error) {
    lock?.release();
    throw error;
  }
}

/** What we read of problem details (RFC 9457). */
export interface Problem {
  readonly code?: FailureCode;
  readonly detail?: string;
  readonly hint?: string;
}

function answer(status: number, body: unknown): AdminAnswer {
  if (status < 400) return { status, body };
  throw failureOf((body ?? {}) as Problem, `The admin API answered ${status}.`);
}

/** The failure that problem details describe. */
export function failureOf({ code = 'internal', detail, hint }: Problem, otherwise: string): Failure {
  return new Failure(code, detail ?? otherwise, hint === undefined ? {} : { hint });
}
