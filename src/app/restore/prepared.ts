/** What restore and undo have in common before anything is done: the right to do it, and the shape of what is planned. */
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import { type Random, systemRandom } from '../../kernel/random.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { Judgement, RestorePlan } from '../../ops/restore/plan.ts';
import type { RestoreReceipt } from '../../ops/restore/receipt.ts';
import { type RestoreProgress, runRestore } from '../../ops/restore/run.ts';
import type { Config } from '../config.ts';
import { makeLog } from '../log.ts';
import type { StorageChoice } from '../open-store.ts';
import { lockOwner, prepareStateDir, type StateLock, tryLock } from '../state-dir.ts';
import { Files } from './files.ts';
import { finishRestore } from './finish.ts';
import { Restoration, type RestorationParts } from './restoration.ts';
import { wayOnAfter } from './way-on.ts';

/** A plan, and whoever can carry it out. Disposed of, it lets go of the state directory. */
export interface PreparedRestore extends AsyncDisposable {
  readonly plan: RestorePlan;
  /** Why it may not be done; empty when it may. */
  readonly obstacles: readonly Failure[];
  /** Failures: the first obstacle; those of the steps. Nothing has changed then, unless the sentence says so. */
  run(watch: Watch<RestoreProgress>): Promise<RestoreReceipt>;
}

/** What a test may hand in. */
export interface WorldParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly log: Log;
}

export function worldOf(config: Config, given: Partial<WorldParts> = {}): WorldParts {
  return {
    clock: systemClock,
    random: systemRandom,
    files: new Files(),
    log: makeLog(config.observability.logging),
    ...given,
  };
}

/**
 * The lock of the state directory where it is to be had, a restore that was cut off brought to its end; and what keeps the
 * database from being exchanged. Failures: those of `finishRestore`.
 */
export async function takeOver(
  config: Config,
  storage: StorageChoice,
  { files, log }: Pick<WorldParts, 'files' | 'log'>,
): Promise<{ readonly lock: StateLock | undefined; readonly obstacles: readonly Failure[] }> {
  prepareStateDir(config.state_dir);
  const lock = tryLock(config);
  if (!lock) return { lock, obstacles: [serverRuns(config.state_dir)] };
  try {
    await finishRestore(config, { files, log });
    if (storage.driver === 'sqlite') return { lock, obstacles: [] };
    const { otherSessions, serversConnected } = await import('../../store/postgres/swap-schema.ts');
    const others = await otherSessions(storage.postgres);
    return { lock, obstacles: others.length > 0 ? [serversConnected(others)] : [] };
  } catch (error) {
    lock.release();
    throw error;
  }
}

export async function prepare(
  { plan, obstacles }: Judgement,
  lock: StateLock | undefined,
  parts: Omit<RestorationParts, 'plan' | 'signal'>,
): Promise<PreparedRestore> {
  const wayOn = await wayOnAfter(plan.restored_to, parts);
  return {
    // Only shown beforehand: the receipt says what there was to it.
    plan: wayOn === undefined ? plan : { ...plan, notes: [...plan.notes, `${NOTHING_SIGNS}: ${wayOn}.`] },
    obstacles,
    async run(watch) {
      if (obstacles[0]) throw obstacles[0];
      const restoration = new Restoration({ ...parts, plan, signal: watch.signal });
      try {
        await runRestore(restoration, watch);
        return restoration.receipt;
      } catch (error) {
        await restoration.giveUp().catch((reason: unknown) => {
          const { message, detail } = asFailure(reason);
          parts.log.error(
            { reason: message, detail },
            'what was staged is cleared away by the next command or start',
          );
        });
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      lock?.release();
    },
  };
}

const NOTHING_SIGNS =
  'The key that signed then has been dropped as compromised since, and none is made in its place. Before the server is started';

function serverRuns(stateDir: string): Failure {
  return new Failure('refused', `A server runs on ${stateDir}: ${lockOwner(stateDir)}.`, {
    hint: 'Stop it (systemctl stop authserver, docker compose stop, ...), and run the command again. Or restore beside it, elsewhere: --into PATH.',
  });
}
