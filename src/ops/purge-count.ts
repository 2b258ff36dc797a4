/** The dry run of a purge. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../kernel/clock.ts';
import type { Watch } from '../kernel/watch.ts';
import type { PurgeableRows, PurgeableStore, PurgePlace, PurgeWindow } from '../store/store.ts';
import { type PurgeProgress, type PurgeReport, report, type TargetReport } from './purge-report.ts';
import { limitsOf, type PurgeRules, type PurgeTarget } from './purge-targets.ts';

/** How long a dry run counts at most, ms. */
const PATIENCE = 30_000;
/** Rows that a step looks at. On SQLite they are read beside the requests, in one thread. */
export const LOOK = 1000;

interface CountParts {
  readonly store: { readonly purgeable: PurgeableStore };
  readonly clock: Clock;
  readonly rules: PurgeRules;
}

/** Counts what would go. It takes no more than its time; what was not reached in it is missing, and the report says so. */
export async function countTargets(
  { store, clock, rules }: CountParts,
  targets: readonly PurgeTarget[],
  timeout: number,
  { progress, signal }: Watch<PurgeProgress>,
): Promise<PurgeReport> {
  const started = clock.now();
  const patience = timeout > 0 ? Math.min(timeout, PATIENCE) : PATIENCE;
  const isOver = () => signal.aborted || clock.now() - started >= patience;
  const reports: TargetReport[] = [];
  for (const [index, target] of targets.entries()) {
    const since = clock.now();
    const place = { target: target.name, number: index + 1, of: targets.length, share: null };
    const limits = limitsOf(target, rules, since);
    const sum = { rows: 0, kept: 0, oldest_left: null as number | null, isCut: false };
    for (const rows of limits ? target.rows : []) {
      for await (const seen of walk(store.purgeable, rows, limits as Limits)) {
        sum.rows += seen.ripe;
        sum.kept += seen.looked - seen.ripe;
        sum.oldest_left = earlier(sum.oldest_left, seen.oldest);
        sum.isCut ||= seen.next !== null && isOver();
        progress({ ...place, rows: sum.rows, elapsed: clock.now() - since, finished: false });
        if (sum.isCut) break;
      }
    }
    progress({ ...place, rows: sum.rows, elapsed: clock.now() - since, finished: true });
    const { isCut, ...counted } = sum;
    const outcome = isCut ? 'stopped' : 'completed';
    reports.push({ target: target.name, outcome, ...counted, duration: clock.now() - since, reason: null });
  }
  const isCut = reports.some(({ outcome }) => outcome !== 'completed');
  const outcome = isCut ? (signal.aborted ? 'stopped' : 'out_of_time') : 'completed';
  return report(outcome, { dry_run: true, started_at: started, duration: clock.now() - started }, reports);
}

/** The end of the oldest row that may go, looked for in a few steps from a place on; null where they find none. */
export async function oldestRipe(
  store: PurgeableStore,
  rows: PurgeableRows,
  limits: Limits,
  from: PurgePlace | null,
): Promise<number | null> {
  let steps = 10;
  for await (const { oldest } of walk(store, rows, limits, from)) {
    if (oldest !== null || --steps === 0) return oldest;
  }
  return null;
}

type Limits = Pick<PurgeWindow, 'until' | 'ended'>;

async function* walk(
  store: PurgeableStore,
  rows: PurgeableRows,
  limits: Limits,
  from: PurgePlace | null = null,
) {
  let place = from;
  do {
    const seen = await store[rows]({ place, look: LOOK, ...limits });
    yield seen;
    place = seen.next;
    await turn();
  } while (place !== null);
}

export function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}
