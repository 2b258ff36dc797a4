/** The recovery log as a restore uses it: how far it goes on from a backup, and which access it knows to be taken away. */
import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { LogReading } from '../../ops/recovery/log-reader.ts';
import { type LoggedBackup, type ReadWindow, surveyLog, windowRead } from '../../ops/recovery/survey.ts';
import type { LogFacts } from '../../ops/restore/plan.ts';
import { readPosition } from '../../store/change-frame.ts';
import { spoolFolder } from '../../store/change-spool.ts';
import type { Revocation } from '../../store/records.ts';
import { openPlaces } from '../backup/places.ts';
import type { Config } from '../config.ts';
import type { StorageChoice } from '../open-store.ts';
import { readRevocations, replayLog } from '../recovery/log-source.ts';
import { scratchParent } from '../scratch.ts';

/** Access that was taken away since, and what an operator has to know of how that was found out. */
export interface TakenAway {
  readonly rows: readonly Revocation[];
  readonly notes: readonly string[];
}

export async function readingOf(
  config: Config,
  clock: Clock,
  rest: Omit<LogReading, 'shelves'>,
): Promise<LogReading> {
  const { driver, sqlite } = config.storage;
  const places = await openPlaces(config, clock);
  return {
    ...rest,
    shelves: places.map(({ target, shelf }) => ({ name: target.name, shelf })),
    // What a killed server had committed, and not brought to the targets yet.
    ...(driver === 'sqlite' && { spool: spoolFolder(sqlite.path) }),
  };
}

/**
 * How far the log takes the rows of a backup, read segment by segment; undefined where it does not.
 * @param present where the present database stands in the log, as its setting says; undefined where nobody knows
 */
export async function surveyFrom(
  reading: LogReading,
  backup: LoggedBackup,
  present: string | undefined,
): Promise<LogFacts | undefined> {
  const window = await windowRead(reading, backup);
  if (!window) return undefined;
  const { to: reaches, faults } = window;
  return { reaches, complete: reachesPresent(window, present), faults };
}

/** Access that was taken away after a time (ms) may be known to the log, also where no rows are taken on by it. */
export async function knowsMore(reading: LogReading, after: number): Promise<boolean> {
  const chains = await surveyLog(reading);
  return chains.some(({ until }) => until > after);
}

/** The present database is of the same chain, and all that was committed to it is there. */
function reachesPresent({ chain, last }: ReadWindow, present: string | undefined): boolean {
  const position = readPosition(present);
  return position !== undefined && chain === position.chain && last >= position.batch;
}

/** Takes staged rows on. Failures: those of `replayLog`; `refused` when something is missing that has to be there. */
export async function replayInto(
  staged: StorageChoice,
  reading: LogReading,
  { to, isWhole }: { readonly to: number | undefined; readonly isWhole: boolean },
): Promise<{ readonly reached: number | undefined; readonly notes: readonly string[] }> {
  if (staged.driver !== 'sqlite') throw new TypeError('the log holds changes of SQLite databases only');
  const { reached, complete, faults } = await replayLog(staged.sqlite.path, reading, to ?? 'end');
  if (complete) return { reached, notes: [] };
  if (to !== undefined || isWhole) {
    throw new Failure('refused', 'The recovery log does not reach the moment that was asked for.', {
      detail: faults.join('; ') || 'a part of it is missing',
      hint: 'Nothing was changed. Name an earlier moment, or another backup; `authserver restore --to TIME --plan` reads the log and says how far it reaches.',
    });
  }
  const end = reached === undefined ? 'could not be used' : `ends at ${new Date(reached).toISOString()}`;
  return { reached, notes: [`The recovery log ${end}${faults.length > 0 ? `: ${faults.join('; ')}` : ''}.`] };
}

/** What the log knows of access that was taken away after a time (ms). It never fails: what is not known is told. */
export async function revocationsIn(config: Config, reading: LogReading, after: number): Promise<TakenAway> {
  const parent = scratchParent(config);
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const scratch = await mkdtemp(path.join(parent, 'restore-log-'));
  try {
    const { rows, complete, until, faults } = await readRevocations(reading, { after, scratch });
    // Without a log there is nothing that could have gaps; but one that did not answer may have been there.
    if (complete || (until === undefined && faults.length === 0)) return { rows, notes: [] };
    const why = faults.length > 0 ? ` (${faults.join('; ')})` : '';
    return {
      rows,
      notes: [`The recovery log has gaps${why}: access that was taken away then may be in force again.`],
    };
  } catch (error) {
    const { code, message } = asFailure(error);
    if (code === 'interrupted') throw error;
    return {
      rows: [],
      notes: [
        `The recovery log could not be read (${message}): what it knows of access that was taken away is missing.`,
      ],
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
    // Others may have something in there.
    await rmdir(parent).catch(() => undefined);
  }
}
