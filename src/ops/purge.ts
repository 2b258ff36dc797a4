/**
 * The purge: takes away rows that have run out and protect nothing any more, in small steps beside the work of the server.
 * It can stop after any step and loses nothing by it; whatever is left, the next purge finds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditTrail } from '../audit/trail.ts';
import type { Clock } from '../kernel/clock.ts';
import { asFailure } from '../kernel/errors.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Log } from '../kernel/log.ts';
import { type Meter, silentMeter } from '../kernel/metrics.ts';
import type { Watch } from '../kernel/watch.ts';
import type { Aggregates, PurgeableRows, PurgePlace, PurgeWindow } from '../store/store.ts';
import { underLease } from './lease.ts';
import { countTargets, earlier, oldestRipe } from './purge-count.ts';
import { Pace } from './purge-pace.ts';
import {
  heldReport,
  logTarget,
  type PurgeProgress,
  type PurgeReport,
  report,
  type TargetReport,
  untouched,
} from './purge-report.ts';
import { chooseTargets, limitsOf, type PurgeRules, type PurgeTarget, purgeTargets } from './purge-targets.ts';

export interface PurgeParts {
  readonly store: Pick<Aggregates, 'purge' | 'purgeable' | 'leases' | 'settings'>;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly rules: PurgeRules;
  /** How long a step may hold others up, ms. */
  readonly aim: number;
  /** Whether the log of the store has grown beyond what it should hold, because a reader elsewhere holds it up. */
  isCrowded(): boolean;
  /** Where this process runs, for whoever finds that it purges already. */
  readonly runner: string;
  readonly meter?: Meter;
}

export interface PurgeRequest {
  /** Names of targets; null for all. */
  readonly only: readonly string[] | null;
  /** ms; 0 for none. */
  readonly timeout: number;
  /** Only count. */
  readonly dry_run: boolean;
  /** Nobody waits for it: targets of which nothing went are logged at debug only. */
  readonly quiet?: boolean;
}

/** Who asked for a purge; the audit trail keeps it. */
export interface PurgeCaller {
  readonly actor: 'admin:operator' | 'admin:api' | 'system';
  readonly ip: string | null;
}

/** How far behind the purge is with a target. */
export interface Backlog {
  readonly target: string;
  /** The end of the oldest row that may go, ms; null when none was found among the rows looked at. */
  readonly oldest: number | null;
}

/** The lease of whoever purges. */
const LEASE = 'purge';
/** The setting that holds when the last purge of all targets ended. */
export const LAST_RUN = 'purge.last_run';

export class Purge {
  readonly #parts: PurgeParts;
  readonly #meter: Meter;

  constructor(parts: PurgeParts) {
    this.#parts = parts;
    this.#meter = parts.meter ?? silentMeter;
  }

  /** Purges, or counts. Fails with `invalid_input` on an unknown target; what goes wrong later is in the report. */
  async run(request: PurgeRequest, watch: Watch<PurgeProgress>, caller: PurgeCaller): Promise<PurgeReport> {
    const targets = chooseTargets(request.only);
    const { clock, leases, ids, runner } = { ...this.#parts, leases: this.#parts.store.leases };
    const started = clock.now();
    if (request.dry_run) return countTargets(this.#parts, targets, request.timeout, watch);
    const leased = await underLease({ leases, clock, ids, runner }, LEASE, (lost) => {
      const signal = AbortSignal.any([watch.signal, lost]);
      return this.#purge(targets, started, request, { ...watch, signal });
    });
    if (leased.outcome === 'held') return heldReport(started, leased.by);
    await this.#remember(leased.value, request, caller);
    return leased.value;
  }

  /** How far behind the purge is, target by target; quick, whatever the size of the tables. */
  async backlog(): Promise<readonly Backlog[]> {
    const all: Backlog[] = [];
    for (const target of purgeTargets) {
      const limits = this.#limits(target);
      let oldest: number | null = null;
      for (const rows of limits ? target.rows : []) {
        oldest = earlier(oldest, await oldestRipe(this.#parts.store.purgeable, rows, limits as Limits, null));
      }
      all.push({ target: target.name, oldest });
    }
    return all;
  }

  async #purge(
    targets: readonly PurgeTarget[],
    started: number,
    { timeout, quiet = false }: PurgeRequest,
    { progress, signal }: Watch<PurgeProgress>,
  ): Promise<PurgeReport> {
    const { clock, aim, log } = this.#parts;
    const pace = new Pace(aim);
    const isLate = () => timeout > 0 && clock.now() - started >= timeout;
    const reports: TargetReport[] = [];
    for (const [index, target] of targets.entries()) {
      if (signal.aborted || isLate()) {
        reports.push(untouched(target));
        continue;
      }
      const walk: Walk = {
        target,
        pace,
        since: clock.now(),
        isOver: () => signal.aborted || isLate(),
        signal,
        tell: (now) => progress({ target: target.name, number: index + 1, of: targets.length, ...now }),
      };
      const done = await this.#purgeTarget(walk);
      logTarget(log, done, quiet);
      reports.push(done);
    }
    const outcomes = new Set(reports.map(({ outcome }) => outcome));
    const cut = outcomes.has('stopped') || outcomes.has('untouched');
    const ended = cut ? (signal.aborted ? 'stopped' : 'out_of_time') : 'completed';
    const outcome = outcomes.has('failed') ? 'failed' : ended;
    return report(outcome, { dry_run: false, started_at: started, duration: clock.now() - started }, reports);
  }

  async #purgeTarget(walk: Walk): Promise<TargetReport> {
    const { clock } = this.#parts;
    const { target, since, tell } = walk;
    const state = { rows: 0, oldest_left: null as number | null, isCut: false };
    const done = (outcome: TargetReport['outcome'], reason: string | null): TargetReport => {
      tell({ rows: state.rows, share: null, elapsed: clock.now() - since, finished: true });
      const { rows, oldest_left } = state;
      return {
        target: target.name,
        outcome,
        rows,
        kept: null,
        duration: clock.now() - since,
        oldest_left,
        reason,
      };
    };
    try {
      for (const rows of target.rows) await this.#walk(rows, walk, state);
      const ended = done(state.isCut ? 'stopped' : 'completed', null);
      this.#meter
        .histogram('authserver_purge_duration_seconds', { target: target.name })
        .observe(ended.duration / 1000);
      return ended;
    } catch (error) {
      const { message, detail } = asFailure(error);
      const failed = done('failed', detail ?? message);
      this.#meter.counter('authserver_purge_failures_total', { target: target.name }).add();
      return failed;
    }
  }

  /** Walks through one kind of rows, step by step, to its end or until the purge is over. */
  async #walk(
    rows: PurgeableRows,
    { target, pace, since, isOver, signal, tell }: Walk,
    state: { rows: number; oldest_left: number | null; isCut: boolean },
  ): Promise<void> {
    const limits = this.#limits(target);
    if (!limits) return;
    pace.restart();
    let place: PurgePlace | null = null;
    let first: number | undefined;
    do {
      if (isOver()) {
        state.isCut = true;
        state.oldest_left = await oldestRipe(this.#parts.store.purgeable, rows, limits, place);
        return;
      }
      const asked = performance.now();
      const step = await this.#parts.store.purge[rows]({ place, look: pace.rows, ...limits });
      const took = { gone: step.gone, worked: step.worked, elapsed: performance.now() - asked };
      const pause = pace.after({ ...took, crowded: this.#parts.isCrowded() });
      state.rows += step.gone;
      this.#meter.counter('authserver_purge_rows_total', { target: target.name }).add(step.gone);
      place = step.next;
      const end = rows !== 'audit_events' && typeof place?.from === 'number' ? place.from : undefined;
      first ??= end;
      const share = first === undefined || end === undefined ? null : (end - first) / (limits.until - first);
      tell({ rows: state.rows, share, elapsed: this.#parts.clock.now() - since, finished: false });
      if (place !== null) await sleep(pause, undefined, { signal }).catch(() => undefined);
    } while (place !== null);
  }

  #limits(target: PurgeTarget): Limits | undefined {
    return limitsOf(target, this.#parts.rules, this.#parts.clock.now());
  }

  async #remember(done: PurgeReport, { only }: PurgeRequest, caller: PurgeCaller): Promise<void> {
    const { store, audit, clock } = this.#parts;
    if (done.outcome === 'completed' && only === null) {
      const now = clock.now();
      const setting = { name: LAST_RUN, value: String(now), updated_at: now };
      await store.settings.put({ setting, if_absent: false });
    }
    // Nobody wants to read every hour that there was nothing to do, and a database with an event in it is not new any more.
    if (done.outcome !== 'failed' && done.rows === 0) return;
    const touched = done.targets.filter(({ rows, outcome }) => rows > 0 || outcome !== 'completed');
    await audit.record({
      action: 'purge.completed',
      ...caller,
      detail: {
        outcome: done.outcome,
        rows: done.rows,
        targets: touched.map(({ target, outcome, rows }) => ({ target, outcome, rows })),
      },
    });
  }
}

type Limits = Pick<PurgeWindow, 'until' | 'ended'>;

interface Walk {
  readonly target: PurgeTarget;
  readonly pace: Pace;
  readonly since: number;
  isOver(): boolean;
  readonly signal: AbortSignal;
  tell(now: Pick<PurgeProgress, 'rows' | 'share' | 'elapsed' | 'finished'>): void;
}
