/** The backups that a server makes by itself, as its settings say. */
import type { Log } from '../../kernel/log.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import { RememberedBackups } from '../../ops/backup/remembered.ts';
import { type BackupSchedule, scheduleBackups } from '../../ops/backup/schedule.ts';
import type { Rooms } from '../compose.ts';

const SYSTEM = { actor: 'system', ip: null } as const;

/** Also with `backup.schedule: off` a backup is made when it is asked for: the recovery log needs a beginning. */
export function backupOnSchedule(rooms: Rooms): BackupSchedule {
  const { config, store, clock, log } = rooms;
  const { schedule, verify, prune } = config.backup;
  // Loaded when it is time: between two backups a server holds nothing of what makes them.
  const desk = async () => {
    const { makeBackupDesk } = await import('./desk.ts');
    return makeBackupDesk(rooms);
  };
  const quiet = (signal: AbortSignal) => ({ progress: () => undefined, signal });
  return scheduleBackups({
    schedule,
    remembered: new RememberedBackups(store.settings),
    installedAt: async () => (await store.deployment.get({})).created_at,
    async create(signal) {
      const { createBackup } = await import('../../ops/backup/create.ts');
      const request = { target: null, tags: [], plaintext: false, verify };
      return createBackup(await desk(), request, quiet(signal), SYSTEM);
    },
    prune: prune
      ? async (target, signal) => {
          const { pruneBackups } = await import('../../ops/backup/prune.ts');
          return pruneBackups(await desk(), { target, dry_run: false, accept: [] }, signal, SYSTEM);
        }
      : undefined,
    tend: vouching(desk, log),
    clock,
    log,
  });
}

/** Says so, once, where no other server has vouched for this one by the second look. */
function vouching(desk: () => Promise<BackupDesk>, log: Log): (signal: AbortSignal) => Promise<void> {
  let strange = 0;
  return async (signal) => {
    const { endorseOthers } = await import('../../ops/backup/endorse.ts');
    if (await endorseOthers(await desk(), signal)) strange = 0;
    else if (++strange === 2)
      log.warn(
        { hint: 'authserver backup key show --sheet' },
        'the first recovery sheet does not lead to the key that signs backups here: print its public part anew and put it below the sheet',
      );
  };
}
