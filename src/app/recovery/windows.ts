/** What `backup list` and `backup prune` have to do with the recovery log. */
import type { CatalogEntry } from '../../archive/catalog.ts';
import type { Trust } from '../../archive/signature.ts';
import type { RecoveryWindow } from '../../ops/backup/desk.ts';
import type { BackupPlace } from '../../ops/backup/place.ts';
import { expireLog } from '../../ops/recovery/expire.ts';
import { surveyLog, windowFrom } from '../../ops/recovery/survey.ts';

/** The moments that some backup reaches with the log, by time. Failures: `interrupted`. */
export async function logWindows(
  places: readonly BackupPlace[],
  trust: Trust,
  entries: readonly CatalogEntry[],
): Promise<readonly RecoveryWindow[]> {
  const records = entries.flatMap(({ record }) => (record ? [record] : []));
  const [first] = records;
  if (!first) return [];
  const shelves = places.map(({ target, shelf }) => ({ name: target.name, shelf }));
  const chains = await surveyLog({ shelves, deploymentId: first.deployment_id, trust });
  // By their ends: backups of one chain go on to the same one.
  const windows = new Map<number, RecoveryWindow>();
  for (const { restore_epoch: epoch, recovery_point: recoveryPoint } of records) {
    const window = windowFrom(chains, { epoch, recoveryPoint });
    if (!window) continue;
    const known = windows.get(window.to);
    if (!known || window.from < known.from) windows.set(window.to, window);
  }
  return [...windows.values()].sort((a, b) => a.from - b.from);
}

/** Takes away what ends before the oldest backup that stays. Failures: those of a Shelf. */
export async function expireBefore(
  { shelf }: BackupPlace,
  oldest: CatalogEntry | undefined,
  trust: Trust,
): Promise<number> {
  const record = oldest?.record;
  if (!record) return 0;
  const request = { deploymentId: record.deployment_id, trust, before: record.recovery_point.from };
  return (await expireLog(shelf, request)).length;
}
