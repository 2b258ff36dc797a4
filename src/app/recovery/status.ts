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
  /** Every moment since the newest backup's chain began can be restored. */
  readonly ok: boolean;
  /** Age of the oldest commit that no target has; null where nothing is logged. */
  readonly recovery_lag_seconds: number | null;
  /** The newest moments that can be restored, ms; null where none can. */
  readonly window: { readonly from: number; readonly to: number } | null;
  /** Where the database stands; null where it stands nowhere. */
  readonly batch: number | null;
  readonly targets: readonly LogTarget[];
  readonly findings: readonly LogFinding[];
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
    const targets = await Promise.all(places.map((place) => lookAt(place, reading, position?.chain)));
    const catalogs = await readCatalogs(places, trust, { signal: new AbortController().signal });
    const entries = catalogs.flatMap((catalog) => catalog.entries);
    const window = (await logWindows(places, trust, entries)).at(-1) ?? null;
    const lag = position ? await lagOf(config, position, targets, clock) : null;
    const findings = findingsOf(config, { position, targets, window, lag });
    return {
      engine: 'sqlite',
      ok: findings.length === 0,
      recovery_lag_seconds: lag,
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

/** Seconds. */
async function lagOf(
  { storage }: Config,
  { chain, batch }: LogPosition,
  targets: readonly LogTarget[],
  clock: Clock,
): Promise<number> {
  const best = Math.max(0, ...targets.map(({ last }) => last));
  const waiting = await new SpoolView(spoolFolder(storage.sqlite.path)).read(chain, best, batch, 1);
  return waiting ? Math.max(0, clock.now() - waiting.from) / 1000 : 0;
}

function findingsOf(
  config: Config,
  {
    position,
    targets,
    window,
    lag,
  }: Pick<LogStatus, 'targets' | 'window'> & {
    readonly position: LogPosition | undefined;
    readonly lag: number | null;
  },
): readonly LogFinding[] {
  const error = (says: string, hint: string): LogFinding => ({ level: 'error', says, hint });
  if (!isLogged(config))
    return [error('Nothing is logged.', 'Set recovery.log to true and restart the server.')];
  if (!position) return [error('The recovery log has not begun.', 'Start the server: `authserver serve`.')];
  const findings = targets
    .filter(({ faults }) => faults.length > 0)
    .map(({ target, faults }) =>
      error(
        `On ${target}: ${faults.join('; ')}.`,
        'A running server begins a new chain within a minute, and makes a backup.',
      ),
    );
  if (lag !== null && lag * 1000 > config.recovery.max_lag) {
    findings.push(
      error(`What was committed ${lag} s ago is on no target.`, 'The log of the server says why.'),
    );
  }
  if (!window) {
    findings.push(
      error('No backup is there that the log goes on from.', 'Make one: `authserver backup create`.'),
    );
  }
  return findings;
}
