// Owns one client's side of the wire: requests to the protocol's endpoints and what came back, or that nothing did.

import { createHash, randomBytes } from 'node:crypto';
import { AdminRefusal } from '../clients/operator.ts';
import { type Person, Stuck } from '../clients/person.ts';
import type { TestServer } from '../setup/server.ts';
import type { Secret, SpentCode } from './ledger.ts';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
}

export const CALLBACK = 'https://app.example/callback';

/** What a client sees of a server: no answer (undefined) when the connection broke or the server said 503. */
export class Wire {
  readonly #server: TestServer;
  readonly #app: Secret;
  readonly #service: Secret;

  /** @param app the client that people sign in to; `service` acts for itself */
  constructor(server: TestServer, { app, service }: { readonly app: Secret; readonly service: Secret }) {
    this.#server = server;
    this.#app = app;
    this.#service = service;
  }

  /** A code that nobody has redeemed yet. */
  async code(person: Person): Promise<SpentCode | undefined> {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      client_id: this.#app.client_id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'openid',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const callback = await answered(person.authorize(`${this.#server.issuer}/oauth/authorize?${query}`));
    if (!callback) return undefined;
    const code = callback.answer.get('code');
    if (code === null) throw new Error(`The person came back without a code: ${callback.answer}`);
    return { code, verifier };
  }

  redeem({ code, verifier }: SpentCode): Promise<Answer | undefined> {
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: CALLBACK };
    return this.#post('/oauth/token', form, this.#app);
  }

  refresh(token: string): Promise<Answer | undefined> {
    return this.#post('/oauth/token', { grant_type: 'refresh_token', refresh_token: token }, this.#app);
  }

  machineToken(service: Secret = this.#service): Promise<Answer | undefined> {
    return this.#post('/oauth/token', { grant_type: 'client_credentials' }, service);
  }

  revoke(token: string): Promise<Answer | undefined> {
    return this.#post('/oauth/revoke', { token }, this.#app);
  }

  revokeMachineToken(token: string): Promise<Answer | undefined> {
    return this.#post('/oauth/revoke', { token }, this.#service);
  }

  /** Whether the server says that the token is active, to the client that owns it. */
  async isActive(token: string, owner: 'app' | 'service' = 'app'): Promise<boolean> {
    const secret = owner === 'app' ? this.#app : this.#service;
    const answer = await this.#post('/oauth/introspect', { token }, secret);
    if (answer?.status !== 200) throw new Error(`Introspection was answered ${JSON.stringify(answer)}.`);
    return answer.body.active === true;
  }

  async #post(path: string, form: Readonly<Record<string, string>>, client: Secret) {
    const { client_id, client_secret } = client;
    const body = new URLSearchParams({ client_id, client_secret, ...form });
    return answered(
      fetch(`${this.#server.issuer}${path}`, { method: 'POST', body }).then(async (response) => {
        const text = await response.text();
        if (response.status === 503) throw new Stuck({ status: 503, url: response.url, text });
        return { status: response.status, body: text === '' ? undefined : JSON.parse(text) } as Answer;
      }),
    );
  }
}

/** The answer, or undefined when there was none: whether the server did it, nobody knows. */
export async function answered<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    // fetch says TypeError for a connection that broke, before the answer or within it.
    const refused = error instanceof Stuck || error instanceof AdminRefusal;
    if (error instanceof TypeError || (refused && error.status === 503)) return undefined;
    throw error;
  }
}
