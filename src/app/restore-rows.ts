/** The way of one database's rows into an empty one, of either engine, on the schema that they have. */
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { stepsUpTo } from '../store/migrations/timeline.ts';
import type { SnapshotHead, TableTotal } from '../store/snapshot.ts';
import { migrateSchema, type StorageChoice } from './open-store.ts';
import { loadSnapshot, readSnapshot } from './snapshots.ts';

export interface StagedRows {
  readonly head: SnapshotHead;
  /** Counts and digests, equal on both sides. */
  readonly totals: readonly TableTotal[];
}

interface StageParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

/**
 * Fills an empty database with the rows of another from one moment; `migrateSchema` takes it further.
 * Failures: `refused` when the schema is of a newer program, or the database is not empty; `unavailable`, `interrupted`.
 * What is left then is no database to be used.
 */
export async function stageFromRows(
  source: StorageChoice,
  into: StorageChoice,
  { clock, random, signal }: StageParts,
): Promise<StagedRows> {
  await using snapshot = await readSnapshot(source, { clock, ...(signal && { signal }) });
  const { head } = snapshot;
  await migrateSchema(into, {
    clock,
    random,
    timeline: stepsUpTo(head.steps),
    ...(signal && { stop: signal }),
  });
  const totals = await loadSnapshot(into, {
    steps: head.steps,
    parts: snapshot.parts(),
    ...(signal && { signal }),
  });
  return { head, totals };
}
