import { statfsSync } from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { Repository, RepositoryBackup } from '../../ops/point-in-time/repository.ts';
import {
  controlValue,
  endedBeforeTarget,
  recoverySettings,
  recoveryTarget,
} from '../../ops/point-in-time/target.ts';
import { lastReplayed } from '../../store/postgres/archiving.ts';
import type { PostgresOptions } from '../../store/postgres/connect.ts';
import type { Config } from '../config.ts';
import type { StorageChoice } from '../open-store.ts';
import { findPlace, type Place, postgresOf, serverPrograms } from './place.ts';
import { ScratchServer, ServerEnded } from './scratch-server.ts';
import { PgBackRest } from './tool.ts';

export interface RowsAtParts {
  readonly signal?: AbortSignal;
  /** Told what is being done, in words. */
  readonly progress?: (step: string) => void;
}

/** The database of the settings as it was at a moment, in a cluster of its own beside the live one. */
export interface RowsAt extends AsyncDisposable {
  readonly storage: StorageChoice;
  /** The last commit that is in it, ms by the clock of the database; null when there was none after the backup. */
  readonly reached: number | null;
  /** False when the archived log ended before the moment: changes between its end and the moment may be missing. */
  readonly complete: boolean;
}

/**
 * Restores the cluster to the end of a millisecond, in a folder of its own, and starts it on a socket of its own. Neither
 * the live cluster nor the archive is touched. Disposing of it ends the server and removes the folder.
 * @param time ms, by the clock of the database
 * Failures: `not_found` when nothing is set up here, or no backup is old enough; `refused` without room or the right user;
 * `failed` with what pgBackRest or PostgreSQL say; `configuration`, `interrupted`.
 */
export async function rowsAt(config: Config, time: number, parts: RowsAtParts = {}): Promise<RowsAt> {
  return restoreAt(await findPlace(config), time, postgresOf(config), parts);
}

/** What a moment is reached from. */
export interface MomentBase {
  /** Where it lies, as an operator would write it. */
  readonly place: string;
  readonly backup: RepositoryBackup;
  /** Bytes for the cluster that is made of it, and where. */
  readonly room: { readonly needed: number; readonly free: number; readonly at: string };
}

/** The backup that `rowsAt` would begin with; nothing is restored. Failures: as `rowsAt`. */
export async function baseOf(config: Config, time: number): Promise<MomentBase> {
  const place = await findPlace(config);
  const at = path.dirname(place.config);
  const backup = backupBefore(await new PgBackRest(place).info(), time);
  const room = { needed: 2 * backup.size, free: freeAt(at), at };
  return { place: `pgBackRest (${place.config}, stanza ${place.stanza})`, backup, room };
}

/** The same from a place that is known. */
export async function restoreAt(
  place: Place,
  time: number,
  live: PostgresOptions,
  { signal, progress = () => {} }: RowsAtParts,
): Promise<RowsAt> {
  const tool = new PgBackRest(place);
  progress('looking for a backup');
  const repository = await tool.info();
  const backup = backupBefore(repository, time);
  const programs = serverPrograms(repository.version ?? '', place.binaries);
  await using undo = new AsyncDisposableStack();
  const server = undo.use(
    await ScratchServer.open(tool.owner, scratchFolder(place), path.join(programs, 'postgres')),
  );
  checkRoom(server.folder, backup);
  progress(`restoring backup ${backup.label}`);
  await tool.run('restore', restoreOptions(server, time), signal);
  const settings = await settingsOf(tool, server, programs);
  progress('replaying the log');
  const complete = await replay(tool, server, settings, signal);
  const dsn = scratchDsn(server, live.dsn);
  const reached = await lastReplayed({ ...live, dsn });
  const held = undo.move();
  return {
    storage: { driver: 'postgres', postgres: { ...live, dsn } },
    reached,
    complete,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

function scratchFolder({ config }: Place): string {
  return path.join(path.dirname(config), 'scratch');
}

/** The newest backup that was whole before the moment; its end is told in whole seconds, of which the last may not be over. */
function backupBefore({ ok, message, backups }: Repository, time: number): RepositoryBackup {
  if (!ok) throw new Failure('not_found', `The repository of pgBackRest cannot be used: ${message}.`);
  const usable = backups.filter(({ restorable }) => restorable);
  const found = usable.filter((backup) => backup.stopped_at + 1000 <= time).at(-1);
  if (found) return found;
  const [oldest] = usable;
  const from = oldest ? new Date(oldest.stopped_at + 1000).toISOString() : 'nowhere: there is no backup yet';
  throw new Failure('not_found', `No backup is as old as ${new Date(time).toISOString()}.`, {
    hint: `The window begins at ${from}. \`authserver recovery status\` shows it.`,
  });
}

/** pgBackRest picks the backup itself; tablespaces go into the folder too, not to where the live ones are. */
function restoreOptions({ folder, dataDirectory }: ScratchServer, time: number): readonly string[] {
  return [
    `--pg1-path=${dataDirectory}`,
    `--lock-path=${folder}/lock`,
    `--tablespace-map-all=${folder}/tablespaces`,
    '--type=time',
    `--target=${recoveryTarget(time)}`,
    '--target-action=promote',
    '--archive-mode=off',
  ];
}

/** It must take what the log of a larger server holds, needs little else, and is thrown away: no sync. */
async function settingsOf(
  { owner }: PgBackRest,
  { dataDirectory }: ScratchServer,
  programs: string,
): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await owner.run(path.join(programs, 'pg_controldata'), [dataDirectory]);
  return {
    archive_mode: 'off',
    fsync: 'off',
    full_page_writes: 'off',
    // Nobody may look before it has arrived, and a standby would refuse to be smaller than its primary.
    hot_standby: 'off',
    lc_messages: 'C',
    log_destination: 'stderr',
    logging_collector: 'off',
    max_connections: '20',
    max_prepared_transactions: controlValue(stdout, 'max_prepared_xacts setting') ?? '0',
    shared_buffers: '64MB',
    ssl: 'off',
  };
}

/** Starts the server; false when the log ended before the target, and the server has gone to its end. */
async function replay(
  { owner }: PgBackRest,
  server: ScratchServer,
  settings: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const file = path.join(server.dataDirectory, 'postgresql.auto.conf');
  const written = (await owner.read(file)) ?? '';
  try {
    await owner.write(file, recoverySettings(written, true));
    await server.start(settings, signal);
    return true;
  } catch (error) {
    if (!(error instanceof ServerEnded)) throw error;
    if (!endedBeforeTarget(error.lines)) throw didNotStart(error);
  }
  try {
    await owner.write(file, recoverySettings(written, false));
    await server.start(settings, signal);
    return false;
  } catch (error) {
    throw error instanceof ServerEnded ? didNotStart(error) : error;
  }
}

function didNotStart({ lines }: ServerEnded): Failure {
  return new Failure('failed', 'PostgreSQL did not start on the restored cluster.', {
    detail: lines.slice(-8).join('\n'),
    hint: 'Nothing of the live database was touched. See the lines above, then try another moment.',
  });
}

/** The role and the database of the live one; in the scratch cluster nobody is asked for a password. */
function scratchDsn(server: ScratchServer, live: string): string {
  const { user, database } = new Client({ connectionString: live });
  const options = URL.parse(live)?.searchParams.get('options') ?? undefined;
  return server.dsn(user ?? 'postgres', database ?? user ?? 'postgres', options);
}

function freeAt(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Twice the database: the log comes on top of the data. Failures: `refused`. */
function checkRoom(folder: string, { size }: RepositoryBackup): void {
  const free = freeAt(folder);
  if (free >= 2 * size) return;
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  throw new Failure('refused', `A restore beside the live cluster needs ${mib(2 * size)} in ${folder}.`, {
    detail: `${mib(free)} are free`,
    hint: 'Make room on that disk; nothing was changed.',
  });
}
