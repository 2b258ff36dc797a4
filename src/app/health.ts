import { json, type Route } from '../http/exchange.ts';
import type { Clock } from '../kernel/clock.ts';
import { asFailure, Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Keyring, KeyringState } from '../keys/keyring.ts';
import type { HealthStore } from '../store/store.ts';

/** One thing that must hold for requests to be answered well. */
export type Check = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/** Asks the parts of the server whether they work; answers a state that is at most a moment old. */
export interface Health {
  database(): Promise<Check>;
  schema(): Promise<Check>;
  keys(): Promise<Check>;
  /** What an operator has to look after and requests do not need, by name. */
  ops?(): Promise<Readonly<Record<string, Check>>>;
}

export interface WaitingParts {
  /** Names of schema steps that this program has and the database lacks. Failures: as for planMigrations. */
  pendingSteps(): Promise<readonly string[]>;
  readonly clock: Clock;
  /** Told when trouble begins and when it is over, not at each probe. */
  readonly log: Log;
}

export interface HealthParts extends WaitingParts {
  readonly store: HealthStore;
  readonly keyring: Pick<Keyring, 'state'>;
}

/** How old an answer may be, ms: probes must not become load. */
const FRESH = 1000;
/** The schema changes at an upgrade only, and asking takes a connection of its own. */
const SCHEMA_FRESH = 30_000;
/** A probe that hangs is as bad as one that fails, ms. */
const PATIENCE = 2000;

const NO_DATABASE = 'the database does not answer';
const NO_SCHEMA = 'the schema cannot be read';

const OK: Check = { ok: true };

/** Of a server that serves. */
export function makeHealth({ store, keyring, pendingSteps, clock, log }: HealthParts): Health {
  const database = async (): Promise<Check> => {
    await store.ping({});
    return OK;
  };
  const schema = () => checkSchema(pendingSteps);
  const keys = async (): Promise<Check> => checkKeys(keyring.state());
  return {
    database: cached(guarded(database, NO_DATABASE, log), FRESH, clock),
    schema: cached(guarded(schema, NO_SCHEMA, log), SCHEMA_FRESH, clock),
    keys,
  };
}

/** Of a server that waits for its schema: it has no store yet, and to ask for the schema is to ask the database. */
export function makeWaitingHealth({ pendingSteps, clock, log }: WaitingParts): Health {
  const schema = () => checkSchema(pendingSteps);
  const database = async (): Promise<Check> => {
    await schema();
    return OK;
  };
  return {
    database: cached(guarded(database, NO_DATABASE, log), FRESH, clock),
    schema: cached(guarded(schema, NO_SCHEMA, log), FRESH, clock),
    keys: async () => ({ ok: false, problem: 'the keys are opened when the schema is up to date' }),
  };
}

/** `/livez`, `/health` and `/ready`, at the root of each listener. */
export function healthRoutes(health: Health, clock: Clock): readonly Route[] {
  const route = (path: string, handle: Route['handle']): Route => ({
    method: 'GET',
    path,
    kind: 'api',
    body: 'none',
    handle,
  });
  return [
    route('/livez', () => json(200, { status: 'ok' })),
    route('/health', async () => {
      const database = await health.database();
      const status = database.ok ? 'ok' : 'unavailable';
      const time = new Date(clock.now()).toISOString();
      return json(database.ok ? 200 : 503, { status, database: status, time });
    }),
    route('/ready', async ({ query }) => {
      const [database, schema, keys] = await Promise.all([health.database(), health.schema(), health.keys()]);
      // For whoever watches over the operation; a load balancer must not take a server out because a backup is late.
      const ops = query.mentions('ops') ? await health.ops?.() : undefined;
      const checks = { database, schema, keys, ...ops };
      const ready = Object.values(checks).every(({ ok }) => ok);
      return json(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready', checks });
    }),
  ];
}

/** What an operator has to look after, one check a name; asked for at most once a moment. */
export function opsHealth(
  asks: Readonly<Record<string, () => Promise<Check>>>,
  { clock, log }: Pick<WaitingParts, 'clock' | 'log'>,
): NonNullable<Health['ops']> {
  const checks = Object.entries(asks).map(
    ([name, ask]) => [name, cached(guarded(ask, `${name}: no answer`, log), FRESH, clock)] as const,
  );
  return async () =>
    Object.fromEntries(await Promise.all(checks.map(async ([name, ask]) => [name, await ask()] as const)));
}

/** Anybody may ask, so it names the key, which all may know, and not the place where it should be. */
function checkKeys({ signing, keys }: KeyringState): Check {
  if (signing !== null) return OK;
  const active = keys.find(({ state }) => state === 'active');
  const which = active === undefined ? 'no key signs' : `the signing key ${active.kid} cannot be used`;
  return { ok: false, problem: `${which}; the log and \`authserver keys verify\` say why` };
}

/** A schema that this program must not touch is an answer too: the database has given it. */
async function checkSchema(pendingSteps: WaitingParts['pendingSteps']): Promise<Check> {
  try {
    const pending = await pendingSteps();
    return pending.length === 0 ? OK : { ok: false, problem: `pending steps: ${pending.join(', ')}` };
  } catch (error) {
    if (error instanceof Failure && error.code === 'refused') return { ok: false, problem: error.message };
    throw error;
  }
}

/**
 * What it answers, or `problem` when it fails or takes too long. What exactly went wrong is for the log, once for as long
 * as it lasts.
 */
function guarded(ask: () => Promise<Check>, problem: string, log: Log): () => Promise<Check> {
  let failing = false;
  return async () => {
    try {
      const check = await inTime(ask());
      if (failing) log.info({}, `no longer: ${problem}`);
      failing = false;
      return check;
    } catch (error) {
      const { message, detail = message } = asFailure(error);
      if (!failing) log.warn({ detail }, problem);
      failing = true;
      return { ok: false, problem };
    }
  };
}

/** Failures: `unavailable` when the work takes longer than a probe waits; it goes on all the same. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const giveUp = () => late.reject(new Failure('unavailable', `There was no answer within ${PATIENCE} ms.`));
  const timer = setTimeout(giveUp, PATIENCE);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Everybody who asks within `lifetime` ms gets the same answer. Good ones last; a bad one is asked again soon. */
function cached(ask: () => Promise<Check>, lifetime: number, clock: Clock): () => Promise<Check> {
  let asked: { readonly at: number; readonly answer: Promise<Check> } | undefined;
  let failed = false;
  return () => {
    const now = clock.now();
    if (asked && now - asked.at < (failed ? FRESH : lifetime)) return asked.answer;
    const answer = ask();
    asked = { at: now, answer };
    answer.then((check) => {
      failed = !check.ok;
    });
    return answer;
  };
}
