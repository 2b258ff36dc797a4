import { json, type Route } from '../http/exchange.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { HealthStore } from '../store/store.ts';

/** One thing that must hold for requests to be answered well. */
export type Check = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/** Asks the parts of the server whether they work; answers a state that is at most a moment old. */
export interface Health {
  database(): Promise<Check>;
  schema(): Promise<Check>;
  keys(): Promise<Check>;
}

export interface HealthParts {
  readonly store: HealthStore;
  readonly keyring: Pick<Keyring, 'state'>;
  /** Names of schema steps that this program has and the database lacks. */
  pendingSteps(): Promise<readonly string[]>;
  readonly clock: Clock;
}

/** How old an answer may be, ms: probes must not become load. */
const FRESH = 1000;
/** The schema changes at an upgrade only, and asking takes a connection of its own. */
const SCHEMA_FRESH = 30_000;
/** A probe that hangs is as bad as one that fails, ms. */
const PATIENCE = 2000;

const OK: Check = { ok: true };

export function makeHealth({ store, keyring, pendingSteps, clock }: HealthParts): Health {
  const database = async (): Promise<Check> => {
    await store.ping({});
    return OK;
  };
  const schema = async (): Promise<Check> => {
    const pending = await pendingSteps();
    return pending.length === 0 ? OK : { ok: false, problem: `pending steps: ${pending.join(', ')}` };
  };
  const keys = async (): Promise<Check> =>
    keyring.state().signing === null ? { ok: false, problem: 'no key can sign; the log names it' } : OK;
  return {
    database: cached(guarded(database, 'the database does not answer'), FRESH, clock),
    schema: cached(guarded(schema, 'the schema cannot be read'), SCHEMA_FRESH, clock),
    keys,
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
    route('/ready', async () => {
      const [database, schema, keys] = await Promise.all([health.database(), health.schema(), health.keys()]);
      const ready = database.ok && schema.ok && keys.ok;
      const checks = { database, schema, keys };
      return json(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready', checks });
    }),
  ];
}

/** What it answers, or `problem` when it fails or takes too long. What exactly went wrong is for the log. */
function guarded(ask: () => Promise<Check>, problem: string): () => Promise<Check> {
  return async () => {
    const late = Promise.withResolvers<Check>();
    const timer = setTimeout(() => late.resolve({ ok: false, problem }), PATIENCE);
    try {
      return await Promise.race([ask(), late.promise]);
    } catch {
      return { ok: false, problem };
    } finally {
      clearTimeout(timer);
    }
  };
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
