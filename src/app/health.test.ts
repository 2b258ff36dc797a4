import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { type Health, makeHealth, makeWaitingHealth } from './health.ts';

const AGED = 60_000;
const keyring = { state: () => ({ signing: 'k1', problems: [], keys: [] }) };
const outage = new Failure('unavailable', 'The database does not answer at the moment.', {
  detail: 'PostgreSQL says nothing: connect ECONNREFUSED',
});

let now: number;
let lines: string[];
const clock = { now: () => now };
const write =
  (level: string): Log['warn'] =>
  (fields, message) =>
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };

beforeEach(() => {
  now = 1_800_000_000_000;
  lines = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** The database behind the probes: it answers, fails with an error, or keeps everybody waiting. */
function database() {
  const state = { asked: 0, answer: 'well' as 'well' | 'never' | Error, pending: [] as readonly string[] };
  const ask = async <T>(value: () => T): Promise<T> => {
    state.asked += 1;
    if (state.answer instanceof Error) throw state.answer;
    if (state.answer === 'never') await new Promise(() => {});
    return value();
  };
  const pendingSteps = () => ask(() => state.pending);
  const store = { ping: () => ask(() => ({ ok: true }) as const) };
  return { state, pendingSteps, store };
}

describe('a server that serves', () => {
  test('names the key that it cannot sign with, and not where that should be', async () => {
    const { state: _, ...parts } = database();
    const key = { kid: 'the-lost-one', state: 'active', usable: false };
    const lost = { state: () => ({ signing: null, problems: [], keys: [key] }) } as never;
    const keys = await makeHealth({ ...parts, keyring: lost, clock, log }).keys();
    expect(keys).toMatchObject({ ok: false, problem: expect.stringContaining('the-lost-one') });
    const none = { state: () => ({ signing: null, problems: [], keys: [] }) } as never;
    expect((await makeHealth({ ...parts, keyring: none, clock, log }).keys()).ok).toBe(false);
    expect((await makeHealth({ ...parts, keyring, clock, log }).keys()).ok).toBe(true);
  });

  test('asks once however many ask it, and again when the answer has aged', async () => {
    const { state, ...parts } = database();
    const health = makeHealth({ ...parts, keyring, clock, log });
    await Promise.all([health.database(), health.database(), health.database()]);
    expect(state.asked).toBe(1);
    now += AGED;
    expect(await health.database()).toEqual({ ok: true });
    expect(state.asked).toBe(2);
  });

  test('tells the log why the database fails, when that begins and when it is over', async () => {
    const { state, ...parts } = database();
    const health = makeHealth({ ...parts, keyring, clock, log });
    const ask = async () => {
      now += AGED;
      return health.database();
    };
    state.answer = outage;
    for (let probe = 0; probe < 3; probe++)
      expect(await ask()).toEqual({ ok: false, problem: 'the database does not answer' });
    expect(lines).toEqual([
      'warn the database does not answer {"detail":"PostgreSQL says nothing: connect ECONNREFUSED"}',
    ]);
    state.answer = 'well';
    for (let probe = 0; probe < 3; probe++) expect(await ask()).toEqual({ ok: true });
    expect(lines.slice(1)).toEqual(['info no longer: the database does not answer {}']);
  });

  test('does not wait for a database that never answers', async () => {
    const { state, ...parts } = database();
    const health = makeHealth({ ...parts, keyring, clock, log });
    state.answer = 'never';
    const answer = health.database();
    await vi.advanceTimersByTimeAsync(2000);
    expect(await answer).toEqual({ ok: false, problem: 'the database does not answer' });
    expect(lines).toEqual([
      'warn the database does not answer {"detail":"There was no answer within 2000 ms."}',
    ]);
  });

  test('names what is wrong with a database that is not for it', async () => {
    const { state, ...parts } = database();
    const health = makeHealth({ ...parts, keyring, clock, log });
    state.answer = new Failure('refused', 'The database belongs to deployment A, and /state to B.');
    expect(await health.schema()).toEqual({ ok: false, problem: state.answer.message });
  });
});

describe('a server that waits for its schema', () => {
  let health: Health;
  let state: ReturnType<typeof database>['state'];
  beforeEach(() => {
    const { state: made, pendingSteps } = database();
    state = made;
    state.pending = ['2 (names)'];
    health = makeWaitingHealth({ pendingSteps, clock, log });
  });

  test('names what is pending; the database is well and the keys are not there yet', async () => {
    expect(await health.database()).toEqual({ ok: true });
    expect(await health.schema()).toEqual({ ok: false, problem: 'pending steps: 2 (names)' });
    expect(await health.keys()).toMatchObject({ ok: false });
  });

  test('says so when the database goes away, and when it is back', async () => {
    state.answer = outage;
    expect(await health.database()).toEqual({ ok: false, problem: 'the database does not answer' });
    expect(await health.schema()).toEqual({ ok: false, problem: 'the schema cannot be read' });
    state.answer = 'well';
    now += AGED;
    expect(await health.database()).toEqual({ ok: true });
  });

  test('a schema that is too new is no fault of the database', async () => {
    state.answer = new Failure('refused', 'The database has schema step 9 (later), which is not known.');
    expect(await health.database()).toEqual({ ok: true });
    expect(await health.schema()).toEqual({ ok: false, problem: state.answer.message });
  });
});
