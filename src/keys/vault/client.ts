/**
 * keys/vault: what is asked of Vault or OpenBao over HTTP. This file owns patience, and what refusals mean; it must not know
 * what is asked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../kernel/errors.ts';
import type { VaultToken } from './token.ts';
import {
  connectionFailure,
  errorsOf,
  isOfVault,
  isSealed,
  sealed,
  type Transport,
  unavailable,
  type VaultAnswer,
  type VaultConnection,
  type VaultMethod,
} from './transport.ts';

/** Calls that may wait at once. More than that never come to an end in time. */
const CROWD = 512;
/** The pause before the first retry, ms; it doubles. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1000;
/** Sent by some proxy or standby on the way, or by a server that is busy: the next moment may be better. */
const PASSING: ReadonlySet<number> = new Set([408, 412, 429, 500, 502, 503, 504]);

export class VaultClient {
  readonly #connection: VaultConnection;
  readonly #transport: Transport & Disposable;
  readonly #token: VaultToken;
  #waiting = 0;

  constructor(connection: VaultConnection, transport: Transport & Disposable, token: VaultToken) {
    this.#connection = connection;
    this.#transport = transport;
    this.#token = token;
  }

  get address(): string {
    return this.#connection.address;
  }

  /**
   * Calls a path below /v1/. The answer is 404 where there is nothing of that name, and below 300 otherwise.
   * @param path its segments encoded
   * Failures: `configuration` when it is denied or makes no sense there, `unavailable` when there is no answer in time, or
   * it is sealed
   */
  async call(method: VaultMethod, path: string, body?: object): Promise<VaultAnswer> {
    if (this.#waiting >= CROWD) throw this.#unavailable('is slower than the requests that need it');
    this.#waiting += 1;
    try {
      return await this.#patiently(method, path, body);
    } finally {
      this.#waiting -= 1;
    }
  }

  close(): void {
    this.#token.close();
    this.#transport[Symbol.dispose]();
  }

  async #patiently(method: VaultMethod, path: string, body: object | undefined): Promise<VaultAnswer> {
    const { timeout } = this.#connection;
    const signal = AbortSignal.timeout(timeout);
    const deadline = performance.now() + timeout;
    let signedInAnew = false;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      const token = await this.#token.current(signal);
      const answer = await this.#once(method, path, token, body, signal);
      if (answer instanceof Failure) {
        if (performance.now() + pause >= deadline) throw answer;
        await sleep(pause);
      } else if (answer.status === 403 && !signedInAnew && (await this.#token.renew(token, signal))) {
        signedInAnew = true;
      } else if (answer.status < 400 || isNothing(answer)) {
        return answer;
      } else {
        throw refused(this.#connection, method, path, answer);
      }
    }
  }

  /** A failure is worth another try. */
  async #once(
    method: VaultMethod,
    path: string,
    token: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<VaultAnswer | Failure> {
    try {
      const answer = await this.#transport(method, path, { 'x-vault-token': token }, body, signal);
      if (isSealed(answer)) throw sealed(this.#connection);
      const said = `answers ${answer.status} to ${method} ${path}`;
      if (!isOfVault(answer)) return this.#unavailable(`${said}, and not as Vault does`);
      return isPassing(answer) ? this.#unavailable(said, errorsOf(answer)) : answer;
    } catch (error) {
      if (error instanceof Failure) throw error;
      return connectionFailure(this.#connection, error);
    }
  }

  #unavailable(what: string, detail?: string): Failure {
    return unavailable(this.#connection, what, detail);
  }
}

/** Vault has no better status than 500 for a version that it does not sign with (any more). */
function isPassing(answer: VaultAnswer): boolean {
  return PASSING.has(answer.status) && !/requested version/.test(errorsOf(answer));
}

/** What is asked for is not there. Where not even the engine is, Vault says so. */
function isNothing(answer: VaultAnswer): boolean {
  return answer.status === 404 && errorsOf(answer) === '';
}

function refused(
  connection: VaultConnection,
  method: VaultMethod,
  path: string,
  answer: VaultAnswer,
): Failure {
  const detail = errorsOf(answer);
  if (answer.status !== 403) {
    return new Failure(
      'configuration',
      `Vault at ${connection.address} refuses ${method} ${path} (${answer.status}).`,
      {
        hint: `Vault says: ${detail || 'nothing more'}.`,
        detail,
      },
    );
  }
  const capabilities = method === 'GET' ? '["read"]' : '["create", "update"]';
  return new Failure('configuration', `Vault at ${connection.address} does not permit ${method} ${path}.`, {
    hint: `Give the token's policy: path "${path}" { capabilities = ${capabilities} }. A token that has run out or was revoked is refused in the same way.`,
    detail,
  });
}
