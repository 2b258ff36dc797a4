/** Drills that happen by themselves: at the times of a cron text, one of the six after the other, one process at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { readSchedule, type Schedule } from '../../kernel/cron.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import { type LeaseParts, underLease } from '../lease.ts';
import type { DrillName } from './drill.ts';
import type { RememberedDrills } from './history.ts';
import type { DrillReport } from './report.ts';

export interface DrillScheduleParts extends LeaseParts {
  /** Cron, in UTC. */
  readonly schedule: string;
  readonly remembered: Pick<RememberedDrills, 'last' | 'inTurn'>;
  /** ms, when the installation was made: what was due before that is not missed. */
  installedAt(): Promise<number>;
  /** Rehearses, and keeps what came of it. Failures: `refused` where there is nothing to rehearse. */
  rehearse(drill: DrillName, signal: AbortSignal): Promise<DrillReport>;
  readonly clock: Clock;
  readonly log: Log;
  /** Waits so long, ms, or until the signal. */
  readonly pause?: (wait: number, signal: AbortSignal) => Promise<void>;
}

/** A server that has just started has other things to do, ms. */
const FIRST = 5 * 60_000;
/** How often to look again, ms: clocks jump, machines sleep. */
const LOOK = 10 * 60_000;
/** How long a drill that could not take place is left alone, ms. */
const RETRY = 6 * 60 * 60_000;
const LEASE = 'drill';

/** Runs until it is disposed of, which stops the drill in hand. */
export function scheduleDrills(parts: DrillScheduleParts): AsyncDisposable {
  const stop = new AbortController();
  const running = keepRunning(parts, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

async function keepRunning(parts: DrillScheduleParts, signal: AbortSignal): Promise<void> {
  const { schedule, clock, pause = slept } = parts;
  const cron = readSchedule(schedule);
  const untilNext = () => {
    const now = clock.now();
    const next = cron.nextRun(new Date(now))?.getTime();
    return next === undefined ? LOOK : Math.max(1, Math.min(LOOK, next - now));
  };
  let wait = FIRST;
  for (;;) {
    await pause(wait, signal);
    if (signal.aborted) return;
    wait = (await lookOnce(parts, cron, signal)) ? untilNext() : RETRY;
  }
}

/** False when a drill was due and could not take place. */
async function lookOnce(parts: DrillScheduleParts, cron: Schedule, signal: AbortSignal): Promise<boolean> {
  try {
    if (!(await isDue(parts, cron))) return true;
    const leased = await underLease(parts, LEASE, async (lost) => {
      // Another server may have been first.
      if (await isDue(parts, cron)) await rehearseNext(parts, AbortSignal.any([signal, lost]));
    });
    if (leased.outcome === 'held') parts.log.info({}, 'another process rehearses already');
    return true;
  } catch (error) {
    if (signal.aborted) return true;
    const { message, detail, hint } = asFailure(error);
    parts.log.error({ detail, hint }, `the scheduled drill could not take place: ${message}`);
    return false;
  }
}

/** The one that was not rehearsed for the longest time, and that there is something to rehearse of. */
async function rehearseNext(parts: DrillScheduleParts, signal: AbortSignal): Promise<void> {
  for (const name of await parts.remembered.inTurn()) {
    try {
      const { id, passed, rpo_ms, rto_ms } = await parts.rehearse(name, signal);
      if (passed) parts.log.info({ id, drill: name, rpo_ms, rto_ms }, 'the scheduled drill has passed');
      else parts.log.error({ id, drill: name }, 'the scheduled drill did not pass');
      return;
    } catch (error) {
      const { code, message } = asFailure(error);
      if (code !== 'refused') throw error;
      parts.log.info({ drill: name }, message);
    }
  }
}

/** Whether the last time that the schedule names has passed without a drill. A missed one is caught up with, once. */
async function isDue(
  { clock, remembered, installedAt }: DrillScheduleParts,
  cron: Schedule,
): Promise<boolean> {
  const now = clock.now();
  // Of the runs before the next millisecond, so that one at this very moment is among them.
  const slot = cron.previousRuns(1, new Date(now + 1))[0]?.getTime();
  if (slot === undefined) return false;
  const last = await remembered.last();
  if (last === undefined) return slot > (await installedAt());
  // One that is dated ahead was made by a clock that ran ahead.
  return last.at < slot || last.at > now;
}

async function slept(wait: number, signal: AbortSignal): Promise<void> {
  await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined);
}
