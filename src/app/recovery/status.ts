/** How the recovery log of an SQLite database stands, seen from beside whoever works on it. */
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { readCatalogs } from '../../ops/backup/catalog.ts';
import type { BackupPlace } from '../../ops/backup/place.ts';
import { SpoolView } from '../../ops/recovery/spool-view.ts';
import { surveyLog } from '../../ops/recovery/survey.ts';
import { type LogPosition, POSITION, readPosition } from '../../store/change-frame.ts';
import { spoolFolder } from '../../store/change-spool.ts';
import { backupTrust } from '../backup/identity.ts';
import { openPlaces } from '../backup/places.ts';
import type { Config } from '../config.ts';
import { isLogged } from '../database.ts';
import { isLate } from './ship.ts';
import { logWindows } from './windows.ts';

export interface LogFinding {
  readonly level: 'error';
  readonly says: string;
  readonly hint: string;
}

export interface LogTarget {
  readonly target: string;
  /** The last batch of the present chain that is there. */
  readonly last: number;
  /** Complete until then, ms; null where nothing is there. */
  readonly until: number | null;
  readonly faults: readonly string[];
}

export interface LogStatus {
  readonly engine: 'sqlite';
  /** Every moment since the newest backup's chain began can be restored, from any target. */
  readonly ok: boolean;
  /** Age of the oldest commit that no target has; null where nothing is logged, or nobody can tell. */
  readonly recovery_lag_seconds: number | null;
  /** The newest moments that can be restored, ms; null where none can. */
  readonly window: { readonly from: number; readonly to: number } | null;
  /** Where the database stands; null where it stands nowhere. */
  readonly batch: number | null;
  readonly targets: readonly LogTarget[];
  readonly findings: readonly LogFinding[];
}

interface SeenTarget {
  readonly target: LogTarget;
  /** Why it does not answer; null where it does. */
  readonly problem: string | null;
  /** As `lagOf` has it. */
  readonly lag: number;
}

/** Failures: `unavailable` when the database cannot be read. */
export async function logStatus(config: Config, clock: Clock = systemClock): Promise<LogStatus> {
  const { onlookSqlite } = await import('../../store/sqlite/onlooker.ts');
  const onlooker = onlookSqlite(config.storage.sqlite.path);
  try {
    const { settings, deployment } = onlooker.store;
    const position = readPosition((await settings.get({ name: POSITION }))?.value);
    const trust = await backupTrust(config, onlooker.store);
    const reading = { deploymentId: (await deployment.get({})).id, trust };
    const places = await openPlaces(config, clock);
    const catalogs = await readCatalogs(places, trust);
    const seen = await Promise.all(
      catalogs.map(async ({ place, problem }) => {
        const target = await lookAt(place, reading, position?.chain);
        const lag = position ? await lagOf(config, position, target, clock) : 0;
        return { target, problem, lag };
      }),
    );
    const targets = seen.map(({ target }) => target);
    const entries = catalogs.flatMap((catalog) => catalog.entries);
    const window = (await logWindows(places, trust, entries)).at(-1) ?? null;
    const least = Math.min(...seen.map(({ lag }) => lag));
    const findings = findingsOf(config, { position, seen, window });
    return {
      engine: 'sqlite',
      ok: findings.length === 0,
      recovery_lag_seconds: position && Number.isFinite(least) ? least / 1000 : null,
      window,
      batch: position?.batch ?? null,
      targets,
      findings,
    };
  } finally {
    await onlooker.close();
  }
}

async function lookAt(
  { target, shelf }: BackupPlace,
  reading: { readonly deploymentId: string; readonly trust: readonly string[] },
  chain: string | undefined,
): Promise<LogTarget> {
  const { name } = target;
  const chains = await surveyLog({ ...reading, shelves: [{ name, shelf }] });
  const found = chains.find((one) => one.chain === chain);
  return {
    target: name,
    last: found?.last ?? 0,
    until: found?.until ?? null,
    faults: found?.faults ?? [],
  };
}

/** Age, ms, of the oldest commit that a target lacks; infinite where nobody can tell. */
async function lagOf(
  { storage }: Config,
  { chain, batch }: LogPosition,
  { last, until }: LogTarget,
  clock: Clock,
): Promise<number> {
  if (last >= batch) return 0;
  const waiting = await new SpoolView(spoolFolder(storage.sqlite.path)).read(chain, last, batch, 1);
  const since = waiting?.from ?? until ?? Number.NEGATIVE_INFINITY;
  return Math.max(0, clock.now() - since);
}

function findingsOf(
  config: Config,
  {
    position,
    seen,
    window,
  }: Pick<LogStatus, 'window'> & {
    readonly position: LogPosition | undefined;
    readonly seen: readonly SeenTarget[];
  },
): readonly LogFinding[] {
  if (!isLogged(config))
    return [error('Nothing is logged.', 'Set recovery.log to true and restart the server.')];
  if (!position) return [error('The recovery log has not begun.', 'Start the server: `authserver serve`.')];
  const findings = seen.flatMap((target) => targetFinding(target, config.recovery.max_lag) ?? []);
  if (!window) {
    findings.push(
      error('No backup is there that the log goes on from.', 'Make one: `authserver backup create`.'),
    );
  }
  return findings;
}

/** What is wrong with the log on one target: damage comes first, for it ends the chain. */
function targetFinding(
  { target: { target, until, faults }, problem, lag }: SeenTarget,
  maxLag: number,
): LogFinding | undefined {
  if (faults.length > 0) {
    return error(
      `On ${target}: ${faults.join('; ')}.`,
      'A running server begins a new chain within a minute, and makes a backup.',
    );
  }
  // A target that cannot be asked is not waited for; one may answer now that did not a moment ago.
  if (problem !== null && until === null) {
    return error(
      `The recovery log does not reach ${target}: ${problem}`,
      `Mend that, or take ${target} out of backup.targets. What it lacks goes there by itself while a server runs.`,
    );
  }
  if (!isLate(lag, maxLag)) return undefined;
  const lacks = Number.isFinite(lag)
    ? `what was committed ${lag / 1000} s ago is not there.`
    : 'nothing of it is there.';
  return error(
    `The recovery log does not reach ${target}: ${lacks}`,
    `A running server brings it there; where it cannot, its log says why (look for ${target}).`,
  );
}

function error(says: string, hint: string): LogFinding {
  return { level: 'error', says, hint };
}
