/** Targets that have lost all that was put there: a folder whose disk is not mounted looks like a new one. */
import type { Target } from '../../archive/targets/target.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { BackupPlace } from './place.ts';
import type { RememberedBackups } from './remembered.ts';

/** By name, with the reason that is told: a backup goes there all the same. */
export async function emptiedTargets(
  remembered: RememberedBackups,
  { places, restore_epoch }: { readonly places: readonly BackupPlace[]; readonly restore_epoch: number },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const emptied = new Map<string, string>();
  for (const { target } of places) {
    const stored = await remembered.lastOn(target.name);
    if (stored?.restore_epoch !== restore_epoch) continue;
    if (!(await mayHold(target, stored.id, signal)))
      emptied.set(
        target.name,
        `nothing was there of what was put there before, up to ${stored.id}: is its disk mounted?`,
      );
  }
  return emptied;
}

/** Whether a target has that backup, or any other; one that does not answer may. */
async function mayHold(target: Target, id: string, signal: AbortSignal): Promise<boolean> {
  try {
    await target.find(id);
    return true;
  } catch (error) {
    if (asFailure(error).code !== 'not_found') return true;
  }
  try {
    for await (const _ of target.list({ signal })) return true;
    return false;
  } catch {
    return true;
  }
}
