/** The backups that a server makes by itself, as its settings say. */

import { createBackup } from '../../ops/backup/create.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import { endorseOthers } from '../../ops/backup/endorse.ts';
import { pruneBackups } from '../../ops/backup/prune.ts';
import { RememberedBackups } from '../../ops/backup/remembered.ts';
import { type BackupSchedule, scheduleBackups } from '../../ops/backup/schedule.ts';
import type { Rooms } from '../compose.ts';
import { makeBackupDesk } from './desk.ts';

const SYSTEM = { actor: 'system', ip: null } as const;

/** Also with `backup.schedule: off` a backup is made when it is asked for: the recovery log needs a beginning. */
export function backupOnSchedule(rooms: Rooms): BackupSchedule {
  const { config, store, clock, log } = rooms;
  const { schedule, verify, prune } = config.backup;
  const desk: BackupDesk = makeBackupDesk({ ...rooms, keyStores: rooms.custody });
  const quiet = (signal: AbortSignal) => ({ progress: () => undefined, signal });
  return scheduleBackups({
    schedule,
    remembered: new RememberedBackups(store.settings),
    installedAt: async () => (await store.deployment.get({})).created_at,
    create: (signal) =>
      createBackup(desk, { target: null, tags: [], plaintext: false, verify }, quiet(signal), SYSTEM),
    prune: prune
      ? (target, signal) => pruneBackups(desk, { target, dry_run: false, accept: [] }, signal, SYSTEM)
      : undefined,
    tend: vouching(desk),
    clock,
    log,
  });
}

/** Says so, once, where no other server has vouched for this one by the second look. */
function vouching(desk: BackupDesk): (signal: AbortSignal) => Promise<void> {
  let strange = 0;
  return async (signal) => {
    if (await endorseOthers(desk, signal)) strange = 0;
    else if (++strange === 2)
      desk.log.warn(
        { hint: 'authserver backup key show --sheet' },
        'the first recovery sheet does not lead to the key that signs backups here: print its public part anew and put it below the sheet',
      );
  };
}
