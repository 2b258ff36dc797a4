/** `authserver backup diff`: two backups, or a backup and the live database, row by row. */
import { systemClock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import {
  compare,
  type Difference,
  type DifferenceReport,
  type Side,
  type TableShape,
} from '../../ops/reinstate/difference.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { readSnapshot } from '../snapshots.ts';
import { type BackupRequest, openBackup, rowsOf } from './open-backup.ts';

/** The database that the settings name. */
const LIVE = 'live';

export interface DiffRequest extends Omit<BackupRequest, 'backup'> {
  /** Each an id, the path of an archive, or `live`. */
  readonly first: string;
  readonly second: string;
  /** Tables to look at; undefined for all. */
  readonly only: readonly string[] | undefined;
}

/** What a side is and when it was so. */
export interface SideReport {
  /** The id of the backup, or `live`. */
  readonly name: string;
  readonly deployment_id: string;
  /** Whatever was committed by then is in it, ms. */
  readonly state_of: number;
  readonly schema_version: number;
}

export interface DiffReport extends DifferenceReport {
  readonly first: SideReport;
  readonly second: SideReport;
}

interface OpenSide extends AsyncDisposable {
  readonly side: Side;
  /** Once all has been read. */
  report(): SideReport;
}

/**
 * Tells each difference as it is found. They count when this resolves: an archive is whole only at its end.
 * Failures: as `openBackup`; `invalid_input` for a table that neither has.
 */
export async function diff(
  config: Config,
  request: DiffRequest,
  tell: (difference: Difference) => Promise<void> | void,
  signal: AbortSignal,
): Promise<DiffReport> {
  await using first = await openSide(config, request.first, request, signal);
  await using second = await openSide(config, request.second, request, signal);
  checkTables(request.only, [...first.side.tables, ...second.side.tables]);
  const only = request.only && new Set(request.only);
  const report = await compare(first.side, second.side, tell, only);
  return { first: first.report(), second: second.report(), ...report };
}

function checkTables(only: readonly string[] | undefined, tables: readonly TableShape[]): void {
  const names = [...new Set(tables.map(({ name }) => name))];
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new Failure('invalid_input', `There is no table "${unknown}".`, {
    hint: `The tables are: ${names.join(', ')}.`,
  });
}

function openSide(
  config: Config,
  name: string,
  request: DiffRequest,
  signal: AbortSignal,
): Promise<OpenSide> {
  return name === LIVE
    ? openLive(config, signal)
    : openArchived(config, { ...request, backup: name }, signal);
}

async function openLive(config: Config, signal: AbortSignal): Promise<OpenSide> {
  const snapshot = await readSnapshot(storageChoice(config), { clock: systemClock, signal });
  const { deployment, from, steps, tables } = snapshot.head;
  return {
    side: { tables, parts: snapshot.parts() },
    report: () => ({
      name: LIVE,
      deployment_id: deployment.id,
      state_of: from,
      schema_version: steps.at(-1)?.version ?? 0,
    }),
    [Symbol.asyncDispose]: () => snapshot[Symbol.asyncDispose](),
  };
}

async function openArchived(config: Config, request: BackupRequest, signal: AbortSignal): Promise<OpenSide> {
  const archive = await openBackup(config, request, signal);
  const { id, deployment_id, schema, tables } = archive.format;
  return {
    side: { tables, parts: rowsOf(archive) },
    report: () => ({
      name: id,
      deployment_id,
      state_of: archive.manifest().recovery_point.from,
      schema_version: schema.at(-1)?.version ?? 0,
    }),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  };
}
