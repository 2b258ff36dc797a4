/** Whether there is a backup that the recovery log can take forward. */
import { retentionItem } from '../../archive/catalog.ts';
import { readCatalogs } from '../../ops/backup/catalog.ts';
import { RememberedBackups } from '../../ops/backup/remembered.ts';
import type { SeenChain } from '../../ops/recovery/shipping.ts';
import { type LogChain, windowFrom } from '../../ops/recovery/survey.ts';
import { backupTrust } from '../backup/identity.ts';
import { openPlaces } from '../backup/places.ts';
import type { Rooms } from '../compose.ts';

/** Ends of a run that leave a backup on every target. */
const HAS_BACKUP: ReadonlySet<string> = new Set(['verified', 'made']);

/** Failures: `unavailable` when the database cannot be read, `interrupted`. */
export async function hasBase(
  { config, store, clock }: Pick<Rooms, 'config' | 'store' | 'clock'>,
  { chain, begunAt }: SeenChain,
  signal: AbortSignal,
): Promise<boolean> {
  const last = await new RememberedBackups(store.settings).lastRun();
  if (last && HAS_BACKUP.has(last.outcome) && last.at >= begunAt) return true;
  // A run that failed may have left a good backup on some target, and one before it on all: they tell.
  const deployment = await store.deployment.get({});
  // Whoever asks is about to take the chain further than any backup.
  const present: LogChain = {
    chain,
    kind: 'changes',
    epoch: deployment.restore_epoch,
    from: begunAt,
    until: Number.POSITIVE_INFINITY,
    last: Number.POSITIVE_INFINITY,
    faults: [],
  };
  const trust = await backupTrust(config, store);
  const catalogs = await readCatalogs(await openPlaces(config, clock), trust, { signal });
  return catalogs
    .flatMap(({ entries }) => entries)
    .some((entry) => {
      const { record } = entry;
      if (record?.deployment_id !== deployment.id) return false;
      const state = retentionItem(entry)?.state;
      const counts = state === 'verified' || (state === 'unverified' && !config.backup.verify);
      const { restore_epoch: epoch, recovery_point: recoveryPoint } = record;
      return counts && windowFrom([present], { epoch, recoveryPoint }) !== undefined;
    });
}
