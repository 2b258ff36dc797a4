/** Backups that the server makes by itself: at the times of a cron text, one process of the deployment each time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { readSchedule, type Schedule } from '../../kernel/cron.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import { type CreateReport, createFailure, targetsWell } from './create-report.ts';
import type { PruneReport } from './prune.ts';
import type { RememberedBackups } from './remembered.ts';

export interface BackupScheduleParts {
  /** Cron, in UTC; `off` for only when asked. */
  readonly schedule: string;
  readonly remembered: Pick<RememberedBackups, 'lastRun' | 'lastVerified'>;
  /** ms, when the installation was made: what was due before that is not missed. */
  installedAt(): Promise<number>;
  create(signal: AbortSignal): Promise<CreateReport>;
  /** Of one target, or of all with null. Undefined where somebody else removes old backups. */
  readonly prune: ((target: string | null, signal: AbortSignal) => Promise<PruneReport>) | undefined;
  /** What is looked after each time, whether a backup is due or not. */
  readonly tend?: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** Waits so long, ms, or until the signal. */
  readonly pause?: (wait: number, signal: AbortSignal) => Promise<void>;
}

export interface BackupSchedule extends AsyncDisposable {
  /** Makes one now, whatever the time: what there is does not reach far enough. No old one is removed after it. */
  askNow(reason: string): void;
}

/** A server that has just started has other things to do, ms. */
const FIRST = 60_000;
/** How often to look again, ms: clocks jump, machines sleep, and another process may have been late. */
const LOOK = 10 * 60_000;
/** How long a backup that failed is left alone, ms. */
const RETRY = 60 * 60_000;
/** How long another process that makes one is left alone, ms. */
const HELD = 60_000;

/** Runs until it is disposed of, which stops the backup in hand. */
export function scheduleBackups(parts: BackupScheduleParts): BackupSchedule {
  const runner = new Runner(parts);
  const running = runner.run();
  return {
    askNow: (reason) => runner.askNow(reason),
    async [Symbol.asyncDispose]() {
      runner.stop();
      await running;
    },
  };
}

class Runner {
  readonly #parts: BackupScheduleParts;
  readonly #cron: Schedule | undefined;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #asked: string | undefined;
  /** Asked for before, and put off. */
  #owed: string | undefined;

  constructor(parts: BackupScheduleParts) {
    this.#parts = parts;
    const { schedule } = parts;
    this.#cron = schedule === 'off' ? undefined : readSchedule(schedule);
  }

  askNow(reason: string): void {
    this.#asked = reason;
    this.#wake.abort();
  }

  stop(): void {
    this.#stop.abort();
    this.#wake.abort();
  }

  async run(): Promise<void> {
    let wait = Math.min(FIRST, this.#untilNext());
    for (;;) {
      await this.#pause(wait);
      if (this.#stop.signal.aborted) return;
      wait = await this.#look();
    }
  }

  /** Makes a backup where one is due; how long to wait then, ms. */
  async #look(): Promise<number> {
    const { log } = this.#parts;
    await this.#tend();
    const asked = this.#asked ?? this.#owed;
    try {
      if (asked === undefined && !(await this.#isDue())) return Math.min(LOOK, this.#untilNext());
      this.#asked = undefined;
      this.#owed = undefined;
      if (asked !== undefined) log.info({ reason: asked }, 'a backup is made out of turn');
      const report = await this.#parts.create(this.#stop.signal);
      const { outcome, id, duration } = report;
      if (outcome === 'held') {
        // What another makes may have been begun before the reason to ask.
        this.#owed = asked;
        return HELD;
      }
      const failure = createFailure(report);
      if (failure) log.error({ id, duration, error: failure.message }, 'the scheduled backup failed');
      else log.info({ id, outcome, duration }, 'the scheduled backup is made');
      // Somebody has just restored, and may want another backup of this very day; the next scheduled one sees to old ones.
      if (asked !== undefined) return Math.min(LOOK, this.#untilNext());
      // Where a copy is missing nothing goes from that target; the others have one that takes the place of what goes.
      for (const target of failure ? targetsWell(report) : [null]) await this.#prune(target);
    } catch (error) {
      const { code, message, detail } = asFailure(error);
      if (code === 'interrupted' && this.#stop.signal.aborted) return 0;
      log.error({ error: detail ?? message }, 'the scheduled backup failed');
      if (asked !== undefined) {
        this.#owed = asked;
        return RETRY;
      }
    }
    return Math.min(LOOK, this.#untilNext());
  }

  async #tend(): Promise<void> {
    const { tend, log } = this.#parts;
    await tend?.(this.#stop.signal).catch((error: unknown) => {
      const { message, detail } = asFailure(error);
      if (!this.#stop.signal.aborted) log.warn({ error: detail ?? message }, 'backups are not looked after');
    });
  }

  async #prune(only: string | null): Promise<void> {
    const { prune, log } = this.#parts;
    if (!prune) return;
    try {
      const { targets } = await prune(only, this.#stop.signal);
      for (const { target, outcome, reason, removed } of targets) {
        if (outcome === 'pruned')
          log.info({ target, removed: removed.length }, 'old backups were looked through');
        else log.error({ target, outcome, reason }, 'old backups were not removed');
      }
    } catch (error) {
      const { message, detail } = asFailure(error);
      // The backup before it is made all the same.
      if (!this.#stop.signal.aborted) log.error({ error: detail ?? message }, 'old backups were not removed');
    }
  }

  /**
   * Whether the last time that the schedule names has passed without a backup. One that was missed while no server ran is
   * caught up with, once; one that failed is tried again now and then.
   */
  async #isDue(): Promise<boolean> {
    const { clock, remembered, installedAt } = this.#parts;
    const now = clock.now();
    // Times before the reference are asked for, and the time that has just come is one.
    const slot = this.#cron?.previousRuns(1, new Date(now + 1))[0]?.getTime();
    if (slot === undefined) return false;
    const last = await remembered.lastRun();
    if (last === undefined) return slot > (await installedAt());
    // The clock ran ahead then: that must not keep backups from being made until now has caught up with it.
    if (last.at < slot || last.at > now) return true;
    if (last.outcome !== 'failed' && last.outcome !== 'interrupted') return false;
    const verified = await remembered.lastVerified();
    return (verified === undefined || verified.made_at < slot) && now - last.at >= RETRY;
  }

  #untilNext(): number {
    const now = this.#parts.clock.now();
    const next = this.#cron?.nextRun(new Date(now))?.getTime();
    return next === undefined ? LOOK : Math.max(1, next - now);
  }

  /** Ends sooner when somebody asks, and at once when somebody has asked meanwhile. */
  async #pause(wait: number): Promise<void> {
    if (this.#asked !== undefined || this.#stop.signal.aborted) return;
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    const { pause = slept } = this.#parts;
    await pause(wait, this.#wake.signal);
  }
}

async function slept(wait: number, signal: AbortSignal): Promise<void> {
  await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined);
}
