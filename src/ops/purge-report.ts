/** What is told of a purge: while it runs, when it has ended, in the log. */
import type { Log } from '../kernel/log.ts';
import type { LeaseRecord } from '../store/records.ts';
import type { PurgeTarget } from './purge-targets.ts';

/**
 * `stopped`: by a signal, or because another purge has taken over. `out_of_time`: the timeout has passed. `held`: another
 * purge runs, and this one did nothing.
 */
export type PurgeOutcome = 'completed' | 'failed' | 'stopped' | 'out_of_time' | 'held';

export interface TargetReport {
  readonly target: string;
  /** `untouched`: the purge ended before its turn. */
  readonly outcome: 'completed' | 'failed' | 'stopped' | 'untouched';
  /** Rows taken away, or that would go in a dry run. */
  readonly rows: number;
  /** In a dry run: rows whose time is over but that still protect something. */
  readonly kept: number | null;
  /** ms */
  readonly duration: number;
  /** The end of the oldest row that may go and is still there, as far as was seen. */
  readonly oldest_left: number | null;
  readonly reason: string | null;
}

export interface PurgeReport {
  readonly outcome: PurgeOutcome;
  readonly dry_run: boolean;
  readonly started_at: number;
  /** ms */
  readonly duration: number;
  readonly rows: number;
  readonly targets: readonly TargetReport[];
  /** Who purges, when the outcome is `held`. */
  readonly held_by: { readonly runner: string; readonly since: number } | null;
}

export interface PurgeProgress {
  readonly target: string;
  /** Place of the target among those of this purge, from 1. */
  readonly number: number;
  readonly of: number;
  /** Of this target so far. */
  readonly rows: number;
  /** How much of the target's time has been walked through, 0 to 1; null where that cannot be told. */
  readonly share: number | null;
  /** ms since the target was begun. */
  readonly elapsed: number;
  readonly finished: boolean;
}

/**
 * What is logged of each target when its turn is over; alerts are built on these lines.
 * @param quiet at debug only where nothing went and all is well
 */
export function logTarget(
  log: Log,
  { target: table, outcome, rows, duration, oldest_left, reason }: TargetReport,
  quiet = false,
): void {
  if (outcome === 'untouched') return;
  if (outcome === 'failed') log.error({ table, rows, duration, error: reason }, 'purge failed');
  else if (outcome === 'stopped') log.warn({ table, rows, duration, oldest_left }, 'purge interrupted');
  else log[quiet && rows === 0 ? 'debug' : 'info']({ table, rows, duration, oldest_left }, 'purge completed');
}

export function untouched({ name: target }: PurgeTarget): TargetReport {
  return { target, outcome: 'untouched', rows: 0, kept: null, duration: 0, oldest_left: null, reason: null };
}

export function report(
  outcome: PurgeOutcome,
  when: Pick<PurgeReport, 'dry_run' | 'started_at' | 'duration'>,
  targets: readonly TargetReport[],
): PurgeReport {
  const rows = targets.reduce((sum, target) => sum + target.rows, 0);
  return { outcome, ...when, rows, targets, held_by: null };
}

export function heldReport(started_at: number, by: LeaseRecord | undefined): PurgeReport {
  const held_by = by ? { runner: by.holder, since: by.acquired_at } : null;
  return { ...report('held', { dry_run: false, started_at, duration: 0 }, []), held_by };
}
