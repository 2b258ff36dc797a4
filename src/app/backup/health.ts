/** Whether the last backup that counts is young enough: what `/ready?ops` says of backups. */

import type { Clock } from '../../kernel/clock.ts';
import { formatDuration } from '../../kernel/duration.ts';
import { RememberedBackups } from '../../ops/backup/remembered.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import type { Check } from '../health.ts';

const MINUTE = 60_000;
/** How far two clocks may differ, ms. */
const TOLERANCE = 60 * MINUTE;

/** Anybody may ask, so it says how old, and not where backups are. Failures: `unavailable`. */
export async function backupHealth(
  { backup }: Config,
  store: Pick<Store, 'settings' | 'deployment'>,
  clock: Clock,
): Promise<Check> {
  const last = await new RememberedBackups(store.settings).lastVerified();
  // A new installation has as long as an old one for its next.
  const since = last?.made_at ?? (await store.deployment.get({})).created_at;
  const age = clock.now() - since;
  if (age < -TOLERANCE) {
    const problem =
      'the last verified backup says that it was made later than now, so nobody knows how old it is';
    return { ok: false, problem };
  }
  if (age <= backup.max_age) return { ok: true };
  const shown = formatDuration(Math.floor(age / MINUTE) * MINUTE);
  const what = last
    ? `the last verified backup is ${shown} old`
    : `there is no verified backup after ${shown}`;
  return { ok: false, problem: `${what}; backup.max_age is ${formatDuration(backup.max_age)}` };
}
