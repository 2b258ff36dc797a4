// Owns one round of what is killed: a backup that is proven, and the removal of what no rule keeps.

import { createBackup } from '../../src/ops/backup/create.ts';
import type { CreateReport } from '../../src/ops/backup/create-report.ts';
import type { BackupDesk } from '../../src/ops/backup/desk.ts';
import { type PruneReport, pruneBackups } from '../../src/ops/backup/prune.ts';

const SYSTEM = { actor: 'system', ip: null } as const;

export async function backUpAndPrune(
  desk: BackupDesk,
): Promise<{ readonly made: CreateReport; readonly pruned: PruneReport }> {
  const { signal } = new AbortController();
  const request = { target: null, tags: [], plaintext: false, verify: true };
  const made = await createBackup(desk, request, { progress: () => undefined, signal }, SYSTEM);
  const accept = ['kept_set_shrinks'] as const;
  const pruned = await pruneBackups(desk, { target: null, dry_run: false, accept }, signal, SYSTEM);
  return { made, pruned };
}
