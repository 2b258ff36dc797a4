// Owns a server that is about to suffer: seeded, with people signed in and clients at work, and judged afterwards.

import { setTimeout as sleep } from 'node:timers/promises';
import { Operator } from '../clients/operator.ts';
import { Person } from '../clients/person.ts';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { startServer, type TestServer } from '../setup/server.ts';
import { acknowledgements, emptyLedger, type Ledger } from './ledger.ts';
import { Load } from './load.ts';
import { type Broken, brokenPromises } from './verdict.ts';
import { CALLBACK, Wire } from './wire.ts';

const PEOPLE = 10;
const SECRET = 'a-client-secret-of-more-than-32-characters';

export interface OrdealOptions {
  readonly storage: FreshStorage;
  /** With a retry window, which clients then use. */
  readonly retries: boolean;
}

export class Ordeal {
  readonly server: TestServer;
  readonly wire: Wire;
  readonly operator: Operator;
  readonly ledger: Ledger = emptyLedger();
  readonly people: readonly Person[];
  readonly load: Load;
  readonly retries: boolean;

  private constructor(server: TestServer, people: readonly Person[], retries: boolean) {
    const app = { client_id: 'app', client_secret: SECRET };
    const service = { client_id: 'service', client_secret: SECRET };
    this.server = server;
    this.operator = new Operator(server);
    this.wire = new Wire(server, { app, service });
    this.people = people;
    this.retries = retries;
    this.load = new Load(this);
  }

  static async begin({ storage, retries }: OrdealOptions): Promise<Ordeal> {
    const server = await startServer({
      storage,
      env: {
        AUTHSERVER_OAUTH_REFRESH_RETRY_WINDOW: retries ? '5m' : '0s',
        // A key that is rotated in signs a second later, so that some do within the test.
        AUTHSERVER_SIGNING_JWKS_MAX_AGE: '1s',
        AUTHSERVER_RATE_LIMIT_ENABLED: 'false',
        AUTHSERVER_OBSERVABILITY_LOGGING_LEVEL: 'warn',
        // As it comes: what is promised is promised with the recovery log.
        AUTHSERVER_RECOVERY_LOG: 'true',
      },
    });
    const operator = new Operator(server);
    const method = { token_endpoint_auth_method: 'client_secret_post', client_secret: SECRET };
    await operator.client({ client_id: 'app', ...method, redirect_uris: [CALLBACK], skip_consent: true });
    await operator.client({ client_id: 'service', kind: 'service', ...method });
    const people = await Promise.all(
      Array.from({ length: PEOPLE }, async (_, i) => {
        const account = { username: `person-${i}`, password: 'correct horse battery' };
        await operator.user(account);
        const person = new Person(server.issuer, account);
        await person.signIn(server.issuer);
        return person;
      }),
    );
    return new Ordeal(server, people, retries);
  }

  /** Lets the load run until the server has acknowledged some more, and then a moment that nobody can foresee. */
  async untilBusy(): Promise<void> {
    const before = acknowledgements(this.ledger);
    const enough = () => acknowledgements(this.ledger) >= before + PEOPLE;
    while (!enough() && this.ledger.wrongAnswers.length === 0) await sleep(5);
    await sleep(Math.random() * 100);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server.dispose();
  }

  /** What the server has acknowledged and does not keep. */
  judge(ledger: Ledger = this.ledger): Promise<Broken> {
    return brokenPromises(ledger, this);
  }
}

/** What came of it. */
export interface Outcome {
  readonly broken: Broken;
  readonly acknowledged: number;
  /** Requests that got no answer. */
  readonly lost: number;
}

/** Kills a busy server so many times. */
export async function killRepeatedly(
  engine: Engine,
  { kills, retries }: { readonly kills: number; readonly retries: boolean },
): Promise<Outcome> {
  await using storage = await freshStorage(engine);
  return await suffer({ storage, retries }, kills, async ({ server }) => {
    await server.kill();
    await server.start();
  });
}

/** Does so many times to a busy server what `fault` does, which ends with the server in good health. */
export async function suffer(
  options: OrdealOptions,
  times: number,
  fault: (ordeal: Ordeal) => Promise<void>,
): Promise<Outcome> {
  await using ordeal = await Ordeal.begin(options);
  await using load = ordeal.load;
  load.start();
  for (let i = 0; i < times; i++) {
    await ordeal.untilBusy();
    load.pause();
    await fault(ordeal);
    load.resume();
  }
  await ordeal.untilBusy();
  await load.stop();
  return { broken: await ordeal.judge(), acknowledged: acknowledgements(ordeal.ledger), lost: load.lost };
}
