/**
 * The end of a restore that has been decided on, from wherever it was left. Every step looks whether it has been done, so a
 * process that dies here is followed by one that goes on; whoever opens the state directory does so first.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import { type Log, silentLog } from '../../kernel/log.ts';
import type { Config } from '../config.ts';
import { lockedFailure, stateFiles, tryLock } from '../state-dir.ts';
import type { Files } from './files.ts';
import type { Journal } from './journal.ts';

export interface FinishParts {
  readonly log?: Log;
  /** Another file system, for tests. */
  readonly files?: Files;
}

/**
 * Brings a restore that had been decided on to its end, and clears away one that had not. The caller holds the lock of the
 * state directory. Failures: `refused` when the settings name another database by now, or servers are connected to it;
 * `configuration`, `unavailable`.
 */
export async function finishRestore(config: Config, parts: FinishParts = {}): Promise<void> {
  // Asked at every start of everything.
  if (!parts.files && !wasBegun(config)) return;
  const { Files } = await import('./files.ts');
  const { readJournal } = await import('./journal.ts');
  const files = parts.files ?? new Files();
  const journal = await readJournal(files, config.state_dir);
  if (journal) await settle(config, journal, files, parts.log ?? silentLog);
}

/** The same for those who do not hold the lock. Failures besides: `refused` when somebody else does. */
export async function settleRestore(config: Config): Promise<void> {
  if (!wasBegun(config)) return;
  using lock = tryLock(config);
  if (!lock) throw lockedFailure(config.state_dir);
  await finishRestore(config);
}

function wasBegun({ state_dir }: Config): boolean {
  return existsSync(path.join(state_dir, stateFiles.restore));
}

async function settle(config: Config, journal: Journal, files: Files, log: Log): Promise<void> {
  const { storageChoice } = await import('../database.ts');
  const { clearStaging } = await import('./staging.ts');
  const { clearKeyFiles, moveKeyFiles } = await import('./key-files.ts');
  const { removeJournal, writeLast } = await import('./journal.ts');
  const { isDecided, swapFiles } = await import('./swap.ts');
  const { id, phase, place, last } = journal;
  const storage = storageChoice(config);
  await checkPlace(journal, config);
  if (phase === 'staging' || !(await isDecided(storage, journal))) {
    await clearStaging(files, storage, place);
    await clearKeyFiles(files, journal.folders);
    await removeJournal(files, config.state_dir);
    log.warn({ restore: id }, 'a restore was cut off before it changed anything; what it had staged is gone');
    return;
  }
  if (place.engine === 'sqlite') await swapFiles(files, place);
  await moveKeyFiles(files, journal.keys);
  await files.write(path.join(config.state_dir, stateFiles.deployment), `${journal.deployment}\n`);
  for (const file of journal.files) {
    await files.makeFolder(path.dirname(file.path));
    await files.write(file.path, file.text);
  }
  if (last) await writeLast(files, config.state_dir, last);
  await removeJournal(files, config.state_dir);
  log.info({ restore: id }, 'the restore is done');
}

/** A journal is about one database; the settings may name another by now. */
async function checkPlace({ id, place }: Journal, { storage, state_dir }: Config): Promise<void> {
  const { databaseFile, postgresName } = await import('./staging.ts');
  const named =
    storage.driver === 'sqlite'
      ? databaseFile(storage.sqlite.path)
      : postgresName(storage.postgres.dsn ?? '');
  if (storage.driver === place.engine && named === place.database) return;
  throw new Failure(
    'refused',
    `The restore ${id} of ${place.database} is not finished, and the settings name ${named}.`,
    {
      hint: `Run any command with the settings that the restore had: it is brought to its end. Or, to give it up for good, move ${path.join(state_dir, stateFiles.restore)} away.`,
    },
  );
}
