/**
 * The removal of what no rule keeps, target by target. It needs targets and trust, and no database: it also runs elsewhere,
 * with credentials that the server does not have.
 */
import { type CatalogEntry, readHolding, retentionItem } from '../../archive/catalog.ts';
import {
  checkStops,
  planRetention,
  type RetentionDecision,
  type RetentionPlan,
  type RetentionStop,
} from '../../archive/retention.ts';
import type { Trust } from '../../archive/signature.ts';
import type { Clock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { underLease } from '../lease.ts';
import { readCatalogs, type TargetCatalog } from './catalog.ts';
import type { BackupCaller, BackupDesk } from './desk.ts';
import type { BackupPlace } from './place.ts';
import type { Removal } from './receipts.ts';
import { RememberedBackups } from './remembered.ts';

export interface PruneRequest {
  /** The only target; null for all. */
  readonly target: string | null;
  readonly dry_run: boolean;
  /** Stops that somebody has looked at. */
  readonly accept: readonly RetentionStop['kind'][];
}

export interface PruneParts {
  readonly places: readonly BackupPlace[];
  readonly trust: Trust;
  readonly deploymentId: string;
  readonly clock: Clock;
  /** How many verified backups the last prune of a target kept. */
  lastKept(target: string): Promise<number | undefined>;
  keepKept(target: string, count: number): Promise<void>;
  /** Kept before the backup goes, so that none is ever gone without one. */
  writeReceipt(removal: Removal): Promise<void>;
  /** It did not go after all. */
  withdrawReceipt(removal: Removal, reason: string): Promise<void>;
  /** It is gone. */
  noteRemoved?(removal: Removal): Promise<void>;
  expireLog?(place: BackupPlace, oldest: CatalogEntry | undefined): Promise<number>;
}

export interface PrunedTarget {
  readonly target: string;
  /** `stopped`: a person has to look first. `untouched`: it did not answer, and what is not seen is not judged. */
  readonly outcome: 'pruned' | 'planned' | 'stopped' | 'failed' | 'untouched';
  readonly reason: string | null;
  /** Newest first: what is kept and what goes, each with its reasons. */
  readonly decisions: readonly RetentionDecision[];
  readonly stops: readonly RetentionStop[];
  readonly removed: readonly string[];
  /** Files that killed runs had left. */
  readonly swept: readonly string[];
  /** Pieces of the recovery log that no backup needs any more. */
  readonly log_pieces: number;
  readonly verified_kept: number;
}

export interface PruneReport {
  readonly dry_run: boolean;
  readonly targets: readonly PrunedTarget[];
  readonly held_by: { readonly runner: string; readonly since: number } | null;
}

const LEASE = 'backup.prune';

/** Prunes the targets of this installation. Failures: `invalid_input`, `interrupted`, `unavailable`. */
export async function pruneBackups(
  desk: BackupDesk,
  request: PruneRequest,
  signal: AbortSignal,
  caller: BackupCaller,
): Promise<PruneReport> {
  const { clock, ids, runner, store } = desk;
  const remembered = new RememberedBackups(store.settings);
  const places = await desk.places(request.target ?? undefined);
  const { id: deploymentId } = await store.deployment.get({});
  const parts: PruneParts = {
    places,
    trust: await desk.trust(),
    deploymentId,
    clock,
    lastKept: (target) => remembered.kept(target),
    keepKept: (target, count) => remembered.keepKept(target, count, clock.now()),
    writeReceipt: (removal) => desk.receipts.write(removal),
    withdrawReceipt: (removal, reason) => desk.receipts.withdraw(removal, reason),
    // Nothing is taken back from the audit trail, so that only what came about goes there.
    noteRemoved: (removal) =>
      desk.audit.record({ action: 'backup.removed', ...caller, detail: { ...removal } }),
    ...(desk.expireLog && { expireLog: desk.expireLog }),
  };
  if (request.dry_run) return prune(parts, request, signal);
  const leased = await underLease({ leases: store.leases, clock, ids, runner }, LEASE, (lost) =>
    prune(parts, request, AbortSignal.any([signal, lost])),
  );
  if (leased.outcome === 'done') return leased.value;
  const held_by = leased.by ? { runner: leased.by.holder, since: leased.by.acquired_at } : null;
  return {
    dry_run: false,
    targets: [],
    held_by: held_by ?? { runner: 'another process', since: clock.now() },
  };
}

/** Prunes these targets, one after the other. Failures: `interrupted`. */
export async function prune(
  parts: PruneParts,
  request: PruneRequest,
  signal: AbortSignal,
): Promise<PruneReport> {
  const targets: PrunedTarget[] = [];
  for (const catalog of await readCatalogs(parts.places, parts.trust, { signal })) {
    targets.push(await pruneTarget(parts, catalog, request, signal));
  }
  return { dry_run: request.dry_run, targets, held_by: null };
}

async function pruneTarget(
  parts: PruneParts,
  { place, entries, problem }: TargetCatalog,
  { dry_run, accept }: PruneRequest,
  signal: AbortSignal,
): Promise<PrunedTarget> {
  const target = place.target.name;
  if (problem !== null) return { ...NOTHING, target, outcome: 'untouched', reason: problem };
  const items = entries.flatMap((entry) => retentionItem(entry) ?? []);
  const lastKept = await parts.lastKept(target);
  const catalog = { deploymentId: parts.deploymentId, items, ...(lastKept !== undefined && { lastKept }) };
  const plan = planRetention(catalog, place.policy, parts.clock.now());
  const shown = {
    ...NOTHING,
    target,
    decisions: plan.decisions,
    stops: plan.stops,
    verified_kept: plan.verifiedKept,
  };
  if (dry_run) return { ...shown, outcome: 'planned' };
  try {
    checkStops(plan, accept);
  } catch (error) {
    const { message, hint } = asFailure(error);
    return { ...shown, outcome: 'stopped', reason: `${message} ${hint ?? ''}`.trim() };
  }
  return removeAll(parts, { place, entries, plan, shown }, signal);
}

const NOTHING = {
  reason: null,
  decisions: [],
  stops: [],
  removed: [],
  swept: [],
  log_pieces: 0,
  verified_kept: 0,
} as const;

interface Work {
  readonly place: BackupPlace;
  readonly entries: readonly CatalogEntry[];
  readonly plan: RetentionPlan;
  readonly shown: Omit<PrunedTarget, 'outcome'>;
}

async function removeAll(
  parts: PruneParts,
  { place, entries, plan, shown }: Work,
  signal: AbortSignal,
): Promise<PrunedTarget> {
  const removed: string[] = [];
  const swept: string[] = [];
  const pinned = new Set<string>();
  let pieces = 0;
  // The oldest first: whatever stops it, the newest are there.
  const going = plan.decisions.filter(({ keeps }) => !keeps).reverse();
  try {
    for (const decision of going) {
      if (signal.aborted) throw new Failure('interrupted', 'The removal of backups was stopped.');
      const entry = entries.find(({ id }) => id === decision.id);
      if (!entry) continue;
      if (await isPinned(parts, place, entry)) pinned.add(decision.id);
      else {
        await removeOne(parts, place, entry, decision);
        removed.push(decision.id);
      }
    }
    swept.push(...(await place.target.sweep(parts.clock.now())));
    const gone = new Set(removed);
    const staying = entries.filter(
      ({ id, record }) => record?.deployment_id === parts.deploymentId && !gone.has(id),
    );
    pieces = (await parts.expireLog?.(place, reachingBackFurthest(staying))) ?? 0;
    await parts.keepKept(place.target.name, plan.verifiedKept);
    const decisions = shown.decisions.map((each) =>
      pinned.has(each.id) ? { ...each, keeps: true, reasons: ['pinned meanwhile'] } : each,
    );
    return { ...shown, decisions, outcome: 'pruned', removed, swept, log_pieces: pieces };
  } catch (error) {
    const { code, message, hint } = asFailure(error);
    if (code === 'internal') throw error;
    const reason = hint === undefined ? message : `${message} ${hint}`;
    return { ...shown, outcome: 'failed', reason, removed, swept, log_pieces: pieces };
  }
}

/** Not the one of the lowest sequence: a clock that went back has made later ones that begin earlier. */
function reachingBackFurthest(entries: readonly CatalogEntry[]): CatalogEntry | undefined {
  const from = ({ record }: CatalogEntry) => record?.recovery_point.from ?? Number.POSITIVE_INFINITY;
  return entries.toSorted((a, b) => from(a) - from(b))[0];
}

/** Looked at again, because somebody may have been told since the listing that it stays. */
async function isPinned(
  { trust }: PruneParts,
  { target }: BackupPlace,
  { id }: CatalogEntry,
): Promise<boolean> {
  const holding = await target.find(id).catch(unlessGone);
  return holding !== undefined && readHolding(holding, trust).pin?.pinned === true;
}

function unlessGone(error: unknown): undefined {
  if (asFailure(error).code !== 'not_found') throw error;
}

async function removeOne(
  parts: PruneParts,
  { target }: BackupPlace,
  { id, record }: CatalogEntry,
  { reasons }: RetentionDecision,
): Promise<void> {
  const removal: Removal = {
    id,
    target: target.name,
    sequence: record?.sequence ?? null,
    made_at: record?.made_at ?? null,
    sha256: record?.file.sha256 ?? null,
    reasons,
  };
  await parts.writeReceipt(removal);
  try {
    await target.remove(id);
  } catch (error) {
    // Its record goes first: without one it is gone, whatever else of it is left to be swept.
    const isThere = await target.find(id).catch(unlessGone);
    if (isThere) await parts.withdrawReceipt(removal, asFailure(error).message);
    else await parts.noteRemoved?.(removal);
    throw error;
  }
  await parts.noteRemoved?.(removal);
}

/** The failure that a report stands for; undefined when all is well. */
export function pruneFailure({ dry_run, targets, held_by }: PruneReport): Failure | undefined {
  if (held_by) {
    return new Failure('conflict', `Nothing was removed: ${held_by.runner} is removing backups already.`, {
      hint: 'Run the command again when that is done.',
    });
  }
  const reasons = (outcome: PrunedTarget['outcome']) =>
    targets.filter((each) => each.outcome === outcome).map(({ target, reason }) => `${target}: ${reason}`);
  const failed = [...reasons('failed'), ...reasons('untouched')];
  if (failed.length > 0) {
    return new Failure('failed', `Not everything could be looked after. ${failed.join(' ')}`, {
      hint: 'Once that is mended, run the command again: it goes on with what is left.',
    });
  }
  const stopped = reasons('stopped');
  return stopped.length > 0 && !dry_run ? new Failure('refused', stopped.join(' ')) : undefined;
}
