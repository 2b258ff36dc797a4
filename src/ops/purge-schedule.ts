/** The purge that runs by itself while the server serves: at intervals, and not when another has just been. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../kernel/clock.ts';
import { asFailure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Random } from '../kernel/random.ts';
import type { SettingStore } from '../store/store.ts';
import { LAST_RUN, type Purge } from './purge.ts';

export interface PurgeScheduleParts {
  readonly purge: Pick<Purge, 'run'>;
  readonly settings: Pick<SettingStore, 'get'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** ms */
  readonly interval: number;
}

/** A server that has just started has other things to do, ms. */
const FIRST = 3 * 60_000;
/** Instances that were started together must not all ask at once. */
const JITTER = 0.1;

/** Runs until it is disposed of, which waits for no more than the step in hand. */
export function schedulePurge(parts: PurgeScheduleParts): AsyncDisposable {
  const stop = new AbortController();
  const running = keepRunning(parts, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

async function keepRunning(parts: PurgeScheduleParts, signal: AbortSignal): Promise<void> {
  let wait = Math.min(parts.interval, FIRST);
  while (await slept(jittered(wait, parts.random), signal)) {
    await purgeWhereDue(parts, signal);
    wait = parts.interval;
  }
}

async function purgeWhereDue(parts: PurgeScheduleParts, signal: AbortSignal): Promise<void> {
  const { purge, log } = parts;
  try {
    if (await wasPurged(parts)) return;
    const { outcome, rows, duration, held_by } = await purge.run(
      { only: null, timeout: 0, dry_run: false, quiet: true },
      { progress: () => undefined, signal },
      { actor: 'system', ip: null },
    );
    if (outcome === 'held') log.info({ ...held_by }, 'another process purges already');
    else log.info({ outcome, rows, duration }, 'the scheduled purge has ended');
  } catch (error) {
    const { message, detail } = asFailure(error);
    log.error({ error: detail ?? message }, 'the scheduled purge failed');
  }
}

/**
 * Has anybody, on a schedule of their own perhaps, purged everything since half an interval ago? Not in the time to come: a
 * clock that ran ahead then must not keep the purge from running until now has caught up with it.
 */
async function wasPurged({ settings, clock, interval }: PurgeScheduleParts): Promise<boolean> {
  const last = await settings.get({ name: LAST_RUN });
  return last !== undefined && Math.abs(clock.now() - Number(last.value)) < interval / 2;
}

function jittered(wait: number, random: Random): number {
  const chance = random.bytes(2).readUInt16BE() / 0xffff;
  return wait * (1 - JITTER + 2 * JITTER * chance);
}

/** False when it was woken to stop. */
function slept(wait: number, signal: AbortSignal): Promise<boolean> {
  return sleep(wait, true, { signal, ref: false }).catch(() => false);
}
