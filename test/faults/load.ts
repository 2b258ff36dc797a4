// Owns the clients that keep a server busy while it is being killed, and write down every answer that they get. They do
// what good clients do: they wait while it is down, and after a lost answer they ask again only where that is safe.

import { randomBytes } from 'node:crypto';
import type { Operator } from '../clients/operator.ts';
import type { Person } from '../clients/person.ts';
import type { Family, Ledger } from './ledger.ts';
import { type Answer, answered, type Wire } from './wire.ts';

/** Rotations of one sign-in before the next begins, at most. */
const LONGEST_FAMILY = 12;

const SERVICE = { kind: 'service', token_endpoint_auth_method: 'client_secret_post' };

export interface LoadParts {
  readonly wire: Wire;
  readonly operator: Operator;
  readonly ledger: Ledger;
  /** Signed in at the server already. */
  readonly people: readonly Person[];
  /** Whether clients repeat a refresh whose answer was lost; they may where there is a retry window. */
  readonly retries: boolean;
}

export class Load {
  readonly #parts: LoadParts;
  readonly #loops: Promise<void>[] = [];
  #stopped = false;
  #up = openGate();
  #lost = 0;

  constructor(parts: LoadParts) {
    this.#parts = parts;
  }

  start(): void {
    const { people } = this.#parts;
    this.#loops.push(...people.map((person) => this.#forever(() => this.#signIn(person))));
    this.#loops.push(
      this.#forever(() => this.#serve()),
      this.#forever(() => this.#administer()),
    );
  }

  /** How many requests were under way when the server went: without an answer, and so without a claim. */
  get lost(): number {
    return this.#lost;
  }

  /** From now on the server may be gone; nobody begins anything new. */
  pause(): void {
    this.#up = Promise.withResolvers();
  }

  resume(): void {
    this.#up.resolve();
  }

  /** Lets everybody finish what they are at. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.resume();
    await Promise.all(this.#loops);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #forever(work: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      await this.#up.promise;
      try {
        await work();
      } catch (error) {
        this.#wrong(String(error));
      }
    }
  }

  /** One sign-in from its code over its rotations to, often, its revocation. */
  async #signIn(person: Person): Promise<void> {
    const { wire, ledger } = this.#parts;
    const code = await this.#counted(wire.code(person));
    const first = code && (await this.#counted(wire.redeem(code)));
    if (!code || !this.#isGood(first, 'a fresh code')) return;
    ledger.codes.push(code);
    const { refresh_token, access_token } = first.body;
    const family: Family = { state: 'live', latest: refresh_token, spent: [], accessTokens: [access_token] };
    ledger.families.push(family);
    const length = 1 + Math.floor(Math.random() * LONGEST_FAMILY);
    while (family.spent.length < length && !this.#stopped) if (!(await this.#rotate(family))) return;
    if (Math.random() < 0.5) await this.#revoke(family);
  }

  /** False when there is nothing more to do with the family. */
  async #rotate(family: Family): Promise<boolean> {
    await this.#up.promise;
    const answer = await this.#counted(this.#parts.wire.refresh(family.latest));
    if (!answer) {
      family.state = 'doubtful';
      return this.#parts.retries;
    }
    if (!this.#isGood(answer, 'the latest refresh token')) return false;
    family.state = 'live';
    family.spent.push(family.latest);
    family.latest = answer.body.refresh_token;
    family.accessTokens.push(answer.body.access_token);
    return true;
  }

  async #revoke(family: Family): Promise<void> {
    family.state = 'doubtful';
    const answer = await this.#untilAnswered(() => this.#parts.wire.revoke(family.latest));
    if (this.#isGood(answer, 'a revocation')) family.state = 'revoked';
  }

  /** A service gets tokens and revokes some of them. */
  async #serve(): Promise<void> {
    const { wire, ledger } = this.#parts;
    const answer = await this.#counted(wire.machineToken());
    if (!this.#isGood(answer, 'client credentials')) return;
    const token: string = answer.body.access_token;
    if (Math.random() < 0.5) {
      ledger.machineTokens.push(token);
      return;
    }
    const revocation = await this.#untilAnswered(() => wire.revokeMachineToken(token));
    if (this.#isGood(revocation, 'a revocation')) ledger.revokedTokens.push(token);
  }

  /** The operator creates users and clients and rotates keys. */
  async #administer(): Promise<void> {
    const { operator, ledger } = this.#parts;
    const account = { username: `user-${randomBytes(6).toString('hex')}`, password: 'correct horse battery' };
    if (await this.#counted(answered(operator.user(account)))) ledger.users.push(account);
    await this.#up.promise;
    const client_secret = randomBytes(32).toString('base64url');
    const client = await this.#counted(answered(operator.client({ ...SERVICE, client_secret })));
    if (client) ledger.clients.push({ client_id: client.client_id, client_secret });
    await this.#up.promise;
    const rotation = await this.#counted(answered(operator.call('POST', '/keys/rotate')));
    if (rotation && !ledger.kids.includes(rotation.kid)) ledger.kids.push(rotation.kid);
  }

  async #untilAnswered(ask: () => Promise<Answer | undefined>): Promise<Answer | undefined> {
    let answer: Answer | undefined;
    while (!answer && !this.#stopped) {
      await this.#up.promise;
      answer = await this.#counted(ask());
    }
    return answer;
  }

  async #counted<T>(asked: Promise<T | undefined>): Promise<T | undefined> {
    const answer = await asked;
    if (answer === undefined) this.#lost += 1;
    return answer;
  }

  #isGood(answer: Answer | undefined, what: string): answer is Answer {
    if (!answer) return false;
    if (answer.status === 200) return true;
    this.#wrong(`${what} was answered ${answer.status} ${JSON.stringify(answer.body)}`);
    return false;
  }

  #wrong(what: string): void {
    this.#parts.ledger.wrongAnswers.push(what);
  }
}

function openGate(): PromiseWithResolvers<void> {
  const gate = Promise.withResolvers<void>();
  gate.resolve();
  return gate;
}
