// Owns what every client here plays against: the served product on an engine, an operator who seeds it, and a person.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { type Engine, freshStorage } from '../setup/engines.ts';
import { startServer, type TestServer } from '../setup/server.ts';
import { Operator } from './operator.ts';
import { type Account, Person } from './person.ts';

export const CALLBACK = 'https://app.example/callback';
export const SIGNED_OUT = 'https://app.example/signed-out';
/** With every kind of character that a secret may have: methods differ in how they encode them. */
export const SECRET = 'a+secret/with%20:signs=and&more~than-32-characters';
export const ALICE: Account = { username: 'alice', password: 'correct horse battery staple' };
export const API = 'https://api.example/notes';

export class Stage {
  readonly server: TestServer;
  readonly operator: Operator;
  /** `sub` of Alice. */
  readonly sub: string;
  readonly #dispose: () => Promise<void>;

  private constructor(server: TestServer, sub: string, dispose: () => Promise<void>) {
    this.server = server;
    this.operator = new Operator(server);
    this.sub = sub;
    this.#dispose = dispose;
  }

  /**
   * A server with a user, Alice, and a resource with the scopes `read` and `write`.
   * @param options.issuerPath a path for the issuer, such as `/auth`
   */
  static async open(
    engine: Engine,
    options: { readonly issuerPath?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<Stage> {
    await using undo = new AsyncDisposableStack();
    const storage = undo.use(await freshStorage(engine));
    const env = { ...options.env, ...(options.issuerPath && (await issuerAt(options.issuerPath))) };
    const server = undo.use(await startServer({ storage, env }));
    const operator = new Operator(server);
    const { id } = await operator.user(ALICE, { name: 'Alice Example', given_name: 'Alice' });
    await operator.resource(API, ['read', 'write']);
    const opened = undo.move();
    return new Stage(server, id, () => opened.disposeAsync());
  }

  get issuer(): string {
    return this.server.issuer;
  }

  /** Alice, with a browser of her own. */
  alice(): Person {
    return new Person(this.issuer, ALICE);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dispose();
  }
}

/** An issuer with a path has to know its port beforehand. */
async function issuerAt(path: string): Promise<Readonly<Record<string, string>>> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('The system gave no port.');
  return {
    AUTHSERVER_SERVER_ADDRESS: `:${address.port}`,
    AUTHSERVER_SERVER_ISSUER: `http://localhost:${address.port}${path}`,
  };
}
