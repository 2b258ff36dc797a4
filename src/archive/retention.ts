/**
 * What is kept of the backups on one target, and why. A pure function: it removes nothing.
 *
 * - Only verified backups count. They are walked through from the newest to the oldest by their sequence, never by a clock.
 * - A rule keeps the newest backup of each of the last n periods that have one, as restic counts them: in UTC, weeks from
 *   Monday; while a rule has not been used up, it keeps the oldest backup there is, too.
 * - The newest `minimum` verified backups are kept whatever the rules say, and so is every pinned one.
 * - What is not verified keeps nothing else from being kept. It waits for its verification while the rules would keep it
 *   if it were verified; one that has failed goes as soon as there is a newer one that has not.
 * - Nothing depends on how old a backup is: a clock that runs ahead can make no backup fall out.
 */
import { Failure } from '../kernel/errors.ts';

/** How many to keep of each kind; what is left out is 0. */
export interface KeepRules {
  readonly last?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
}

export interface RetentionPolicy {
  readonly keep: KeepRules;
  /** So many verified backups stay in any case. */
  readonly minimum: number;
}

export interface RetentionItem {
  readonly id: string;
  readonly sequence: number;
  readonly deploymentId: string;
  /** ms, by the clock of whoever made it. */
  readonly madeAt: number;
  readonly state: 'verified' | 'unverified' | 'failed';
  readonly isPinned: boolean;
}

export interface RetentionCatalog {
  /** Whose backups are looked at; those of others are left alone. */
  readonly deploymentId: string;
  /** What one target holds. */
  readonly items: readonly RetentionItem[];
  /** How many verified backups the last run kept; undefined when there was none. */
  readonly lastKept?: number;
}

export interface RetentionDecision {
  readonly id: string;
  readonly keeps: boolean;
  /** At least one. */
  readonly reasons: readonly string[];
}

/** Something that a person has to look at before anything is removed. */
export interface RetentionStop {
  readonly kind: 'future_dated' | 'clock_jumped' | 'kept_set_shrinks';
  readonly reason: string;
}

export interface RetentionPlan {
  /** Newest first. */
  readonly decisions: readonly RetentionDecision[];
  readonly stops: readonly RetentionStop[];
  /** Verified backups of the deployment that stay: the `lastKept` of the next run. */
  readonly verifiedKept: number;
}

/** How far two clocks may differ, ms. */
const TOLERANCE = 60 * 60 * 1000;
const DAY = 24 * 60 * 60 * 1000;

/**
 * @param now ms
 * @throws Failure `configuration` when the policy keeps nothing
 */
export function planRetention(
  catalog: RetentionCatalog,
  policy: RetentionPolicy,
  now: number,
): RetentionPlan {
  checkPolicy(policy);
  const items = [...catalog.items].sort(newestFirst);
  const own = items.filter((item) => item.deploymentId === catalog.deploymentId);
  const reasons = keepReasons(own, policy);
  const decisions = items.map((item) => decide(item, own.includes(item), reasons, own));
  const kept = new Set(decisions.filter(({ keeps }) => keeps).map(({ id }) => id));
  const verifiedKept = own.filter((item) => item.state === 'verified' && kept.has(item.id)).length;
  return { decisions, stops: findStops(own, verifiedKept, catalog.lastKept, now), verifiedKept };
}

/** @throws Failure `refused` when there is a stop that nobody has accepted */
export function checkStops(plan: RetentionPlan, accepted: readonly RetentionStop['kind'][]): void {
  const stops = plan.stops.filter(({ kind }) => !accepted.includes(kind));
  if (stops.length === 0) return;
  throw new Failure('refused', `Nothing was removed: ${stops.map(({ reason }) => reason).join(' ')}`, {
    hint: `Look at \`authserver backup list\`. If all is well, say so: ${stops.map(({ kind }) => `--accept ${kind}`).join(' ')}.`,
  });
}

function checkPolicy({ keep, minimum }: RetentionPolicy): void {
  if ([...Object.values(keep), minimum].some((count) => count > 0)) return;
  throw new Failure('configuration', 'The retention policy would keep no backup at all.', {
    hint: 'Set backup.retention.keep, such as {daily: 7, weekly: 4, monthly: 3}.',
  });
}

interface Rule {
  readonly name: keyof KeepRules;
  readonly period: (item: RetentionItem) => string;
}

const RULES: readonly Rule[] = [
  { name: 'last', period: ({ id }) => id },
  { name: 'hourly', period: ({ madeAt }) => `${iso(madeAt, 13)}:00` },
  { name: 'daily', period: ({ madeAt }) => iso(madeAt, 10) },
  // 1970-01-01 was a Thursday, three days after a Monday.
  { name: 'weekly', period: ({ madeAt }) => `week of ${iso(madeAt - mod(madeAt + 3 * DAY, 7 * DAY), 10)}` },
  { name: 'monthly', period: ({ madeAt }) => iso(madeAt, 7) },
  { name: 'yearly', period: ({ madeAt }) => iso(madeAt, 4) },
];

/** By id, why an item is kept. @param own newest first */
function keepReasons(own: readonly RetentionItem[], policy: RetentionPolicy): Map<string, string[]> {
  const verified = own.filter(({ state }) => state === 'verified');
  const reasons = applyRules(verified, policy.keep);
  for (const { id } of verified.slice(0, policy.minimum))
    add(reasons, id, `one of the ${policy.minimum} newest verified`);
  const hopeful = applyRules(
    own.filter(({ state }) => state !== 'failed'),
    policy.keep,
  );
  for (const { id } of own.filter(({ state }) => state === 'unverified')) {
    for (const reason of hopeful.get(id) ?? []) add(reasons, id, `not verified yet; would be ${reason}`);
  }
  for (const { id } of own.filter(({ isPinned }) => isPinned)) add(reasons, id, 'pinned');
  return reasons;
}

/** @param items newest first */
function applyRules(items: readonly RetentionItem[], keep: KeepRules): Map<string, string[]> {
  const reasons = new Map<string, string[]>();
  for (const { name, period } of RULES) {
    const count = keep[name] ?? 0;
    const chosen = newestOfEach(items, period, count);
    for (const [found, { id }] of chosen)
      add(reasons, id, name === 'last' ? `one of the last ${count}` : `${name} ${found}`);
    const oldest = items.at(-1);
    if (name === 'last' || chosen.size >= count || !oldest || [...chosen.values()].includes(oldest)) continue;
    add(reasons, oldest.id, `${name}, the oldest there is`);
  }
  return reasons;
}

/** By period. A period that was met before counts once, even when a clock went back into it. */
function newestOfEach(
  items: readonly RetentionItem[],
  period: Rule['period'],
  count: number,
): Map<string, RetentionItem> {
  const chosen = new Map<string, RetentionItem>();
  for (const item of items) {
    if (chosen.size >= count) break;
    const found = period(item);
    if (!chosen.has(found)) chosen.set(found, item);
  }
  return chosen;
}

function decide(
  item: RetentionItem,
  isOwn: boolean,
  reasons: ReadonlyMap<string, string[]>,
  own: readonly RetentionItem[],
): RetentionDecision {
  if (!isOwn) return { id: item.id, keeps: true, reasons: [`of another deployment, ${item.deploymentId}`] };
  const found = reasons.get(item.id);
  if (found) return { id: item.id, keeps: true, reasons: found };
  const newest = own.find(({ state }) => state === 'verified');
  if (item.state === 'verified') return { id: item.id, keeps: false, reasons: ['no rule keeps it'] };
  if (!newest || newestFirst(item, newest) < 0) {
    const reason = item.state === 'failed' ? 'its verification failed, but' : 'not verified yet, and';
    return { id: item.id, keeps: true, reasons: [`${reason} no newer backup is verified`] };
  }
  const reason =
    item.state === 'failed' ? 'its verification failed' : 'not verified, and no rule would keep it';
  return { id: item.id, keeps: false, reasons: [`${reason}; ${newest.id} is newer and verified`] };
}

function findStops(
  own: readonly RetentionItem[],
  kept: number,
  lastKept: number | undefined,
  now: number,
): RetentionStop[] {
  const stops: RetentionStop[] = [];
  const future = own.filter(({ madeAt }) => madeAt > now + TOLERANCE);
  if (future.length > 0) {
    const reason = `${count(future.length, 'backup')} say they were made later than now: ${some(future)}.`;
    stops.push({ kind: 'future_dated', reason });
  }
  const jumped = own.filter((item, index) => {
    const before = own[index + 1];
    return before !== undefined && before.madeAt > item.madeAt + TOLERANCE;
  });
  if (jumped.length > 0) {
    const reason = `A clock went back: ${some(jumped)} was made before its predecessor in the catalog.`;
    stops.push({ kind: 'clock_jumped', reason });
  }
  if (lastKept !== undefined && kept * 2 < lastKept) {
    const reason = `Only ${count(kept, 'verified backup')} would stay; the last run kept ${lastKept}.`;
    stops.push({ kind: 'kept_set_shrinks', reason });
  }
  return stops;
}

/** By sequence; two of one sequence by their ids, which then differ by time and chance. */
function newestFirst(a: RetentionItem, b: RetentionItem): number {
  return b.sequence - a.sequence || (a.id < b.id ? 1 : -1);
}

function add(reasons: Map<string, string[]>, id: string, reason: string): void {
  const found = reasons.get(id);
  if (found) found.push(reason);
  else reasons.set(id, [reason]);
}

function iso(time: number, length: number): string {
  return new Date(time).toISOString().slice(0, length);
}

function mod(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function some(items: readonly RetentionItem[]): string {
  const ids = items.slice(0, 3).map(({ id }) => id);
  return items.length > 3 ? `${ids.join(', ')} and ${items.length - 3} more` : ids.join(', ');
}
