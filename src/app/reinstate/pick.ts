/** The rows of single things out of a backup of whatever age, as they would be on today's schema. */
import type { OpenArchive } from '../../archive/reader.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import { type FoundThing, PICKED_TABLES, type PickedRow, Picker } from '../../ops/reinstate/picker.ts';
import type { Thing } from '../../ops/reinstate/thing.ts';
import { timeline } from '../../store/migrations/timeline.ts';
import type { SnapshotPart } from '../../store/snapshot.ts';
import type { Config } from '../config.ts';
import { migrateSchema } from '../open-store.ts';
import { openScratch, scratchParent } from '../scratch.ts';
import { readSnapshot } from '../snapshots.ts';
import { unpackInto } from '../unpack.ts';
import { type BackupRequest, openBackup, rowsOf } from './open-backup.ts';

/** What the rows were taken from, once all of them came by and the backup was whole. */
export interface Picked {
  readonly backup: string;
  readonly deployment_id: string;
  /** Whatever was committed by then is in it, ms. */
  readonly state_of: number;
  /** The last revocation that it knows; null where it is older than the record of revocations. */
  readonly seen: string | null;
  readonly things: readonly FoundThing[];
}

export interface PickRequest extends BackupRequest {
  readonly things: readonly Thing[];
}

/**
 * Hands the rows of the things to `take` as they come by; they count when this resolves. Failures: as `openBackup`;
 * `not_found` for a thing that the backup does not have, `interrupted`.
 */
export async function pick(
  config: Config,
  request: PickRequest,
  take: (rows: AsyncIterable<PickedRow>) => Promise<void>,
  signal: AbortSignal,
): Promise<Picked> {
  await using archive = await openBackup(config, request, signal);
  const { id, deployment_id, schema, tables } = archive.format;
  const picker = new Picker(request.things);
  const isCurrent = schema.length === timeline.length;
  if (isCurrent) await take(picker.rows(rowsOf(archive)));
  else await throughScratch(config, archive, signal, (parts) => take(picker.rows(parts)));
  const knowsRevocations = tables.some(({ name }) => name === 'revocations');
  return {
    backup: id,
    deployment_id,
    state_of: archive.manifest().recovery_point.from,
    seen: knowsRevocations ? picker.seen : null,
    things: picker.found(),
  };
}

/** Rows of an older schema become what its later steps make of them. */
async function throughScratch(
  config: Config,
  archive: OpenArchive,
  signal: AbortSignal,
  read: (parts: AsyncIterable<SnapshotPart>) => Promise<void>,
): Promise<void> {
  // Rows are the same on both engines; a file is enough for them.
  const file = { driver: 'sqlite', sqlite: { path: '', wal: false } } as const;
  await using scratch = await openScratch(file, scratchParent(config));
  const parts = { clock: systemClock, random: systemRandom };
  await unpackInto(scratch.storage, archive, { ...parts, signal });
  await migrateSchema(scratch.storage, { ...parts, stop: signal });
  const request = { clock: systemClock, tables: PICKED_TABLES, signal };
  await using snapshot = await readSnapshot(scratch.storage, request);
  await read(snapshot.parts());
}
