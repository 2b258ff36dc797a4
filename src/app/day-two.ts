/**
 * Day-2 verbs of the command line, done where the store is: in the server that runs on this state directory, by its admin
 * socket, or in this process. They need the database and nothing else: no signing key, no listener.
 */
import { createInterface } from 'node:readline';
import { json as readJson } from 'node:stream/consumers';
import { AuditTrail } from '../audit/trail.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import { type Ids, makeIds } from '../kernel/ids.ts';
import type { Log } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import type { Watch } from '../kernel/watch.ts';
import type { Store } from '../store/store.ts';
import { askOverSocket, failureOf, findOwner, type Problem } from './admin-client.ts';
import type { Config } from './config.ts';
import { openDatabase } from './database.ts';
import { makeLog } from './log.ts';
import { type Metrics, openCommandMetrics } from './metrics/metrics.ts';

/** What a verb has when it runs in this process. */
export interface Workshop {
  readonly config: Config;
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly audit: AuditTrail;
  readonly metrics: Metrics;
}

/** A verb that takes its time, in both its places. */
export interface DayTwoVerb<Progress, Report> {
  /** Its route in the admin API (admin/long-verb.ts), and what is sent there. */
  readonly path: string;
  readonly body: object;
  here(workshop: Workshop, watch: Watch<Progress>): Promise<Report>;
}

/** Failures: those of the verb; `unavailable` when the server that runs here does not answer, or goes away. */
export async function perform<Progress, Report>(
  config: Config,
  verb: DayTwoVerb<Progress, Report>,
  watch: Watch<Progress>,
): Promise<Report> {
  const owner = await findOwner(config);
  if ('socket' in owner) return follow(owner.socket, verb, watch);
  try {
    return await performHere(config, verb, watch);
  } finally {
    owner.lock?.release();
  }
}

async function performHere<Progress, Report>(
  config: Config,
  verb: DayTwoVerb<Progress, Report>,
  watch: Watch<Progress>,
): Promise<Report> {
  const log = makeLog(config.observability.logging);
  const clock = systemClock;
  const metrics = await openCommandMetrics(config, { clock, log });
  const { meter } = metrics;
  const store = await openDatabase(config, log, meter);
  try {
    const audit = new AuditTrail({ store: store.audit, clock, log, meter });
    const ids = makeIds(clock, systemRandom);
    return await verb.here({ config, store, log, clock, ids, audit, metrics }, watch);
  } finally {
    // The last push still asks the store.
    await metrics.close();
    await store.close();
  }
}

interface Line<Progress, Report> {
  readonly progress?: Progress;
  readonly report?: Report;
  readonly failure?: Problem;
}

/** Has the server do it, and passes a wish to stop on to it; the report comes all the same. */
async function follow<Progress, Report>(
  socketPath: string,
  { path, body }: DayTwoVerb<Progress, Report>,
  { progress, signal }: Watch<Progress>,
): Promise<Report> {
  const askToStop = () =>
    void askOverSocket(socketPath, 'POST', `${path}/stop`).then(
      (answer) => answer.resume(),
      () => undefined,
    );
  signal.addEventListener('abort', askToStop, { once: true });
  try {
    const answer = await askOverSocket(socketPath, 'POST', path, body);
    if (answer.statusCode !== 200) {
      throw failureOf((await readJson(answer)) as Problem, `The admin API answered ${answer.statusCode}.`);
    }
    if (signal.aborted) askToStop();
    for await (const text of createInterface({ input: answer })) {
      const line = JSON.parse(text) as Line<Progress, Report>;
      if (line.progress !== undefined) progress(line.progress);
      if (line.failure !== undefined) throw failureOf(line.failure, 'The server says that it failed.');
      if (line.report !== undefined) return line.report;
    }
    throw new Failure('unavailable', 'The server went away before it was done.', {
      hint: 'See its log, then run the command again: what was done stays done.',
    });
  } finally {
    signal.removeEventListener('abort', askToStop);
  }
}
