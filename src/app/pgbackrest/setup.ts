/** `recovery setup`: a row of steps. Each is taken once; run again, it goes on where the last run stopped. */
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { type Random, systemRandom } from '../../kernel/random.ts';
import { alterLines, archiveCommand, missingSettings } from '../../ops/point-in-time/configuration.ts';
import type { RecoveryStatus } from '../../ops/point-in-time/status.ts';
import type { ArchivingFacts } from '../../store/archiving.ts';
import { alterSystem } from '../../store/postgres/archiving.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { type ConfigureRequest, choosePlace, configure } from './configure.ts';
import { findLocalServer, type LocalServer } from './local-server.ts';
import { readObservation, withStore, writeObservation } from './observation.ts';
import { archivingOf, postgresOf, readNote, writeNote } from './place.ts';
import { tryRoundTrip } from './round-trip.ts';
import { recoveryStatus } from './status.ts';
import { PgBackRest, PgBackRestFailure } from './tool.ts';

export interface SetupRequest extends ConfigureRequest {
  /** The data directory, where SQL does not tell it. */
  readonly pgdata?: string | undefined;
  /** Settings of PostgreSQL are changed, not only told. */
  readonly apply: boolean;
}

export interface SetupReport {
  /** False while something is left for the operator. */
  readonly done: boolean;
  readonly stanza: string;
  readonly steps: readonly { readonly step: string; readonly says: string }[];
  /** What is left: a sentence, and lines to type. */
  readonly next: Wait | null;
  /** Of the repository, until a setup has gone to its end; nobody tells it again. */
  readonly passphrase: string | null;
  /** Command lines for a timer, when it is done. */
  readonly timers: readonly string[];
  readonly status: RecoveryStatus | null;
}

/** What the operator has to do before the next step. */
interface Wait {
  readonly say: string;
  readonly lines: readonly string[];
}

export interface SetupParts {
  readonly signal: AbortSignal;
  /** Told what is being done, in words. */
  readonly progress: (step: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * Sets pgBackRest up for the database of the settings, on its host, as far as it can without the operator.
 * Failures: `refused` on SQLite, elsewhere than on the host, or in front of what somebody else has set up;
 * `invalid_input`, `configuration`, `not_found` without pgBackRest, `failed` with what it says, `interrupted`.
 */
export async function setUpRecovery(
  config: Config,
  request: SetupRequest,
  parts: SetupParts,
): Promise<SetupReport> {
  return withStore(config, (store) => setUp(config, request, parts, store));
}

/** Remembers that whoever runs the database takes care of point in time. Failures: `refused` on SQLite, `unavailable`. */
export async function leaveToProvider(config: Config, clock: Clock = systemClock): Promise<RecoveryStatus> {
  postgresOf(config);
  await withStore(config, ({ settings }) =>
    writeObservation(settings, clock, {
      by: 'provider',
      stanza: null,
      seen_at: null,
      repository: null,
      round_trip_at: null,
      round_trip_ms: null,
    }),
  );
  return recoveryStatus(config, clock);
}

async function setUp(
  config: Config,
  request: SetupRequest,
  { signal, progress, clock = systemClock, random = systemRandom }: SetupParts,
  store: Store,
): Promise<SetupReport> {
  const facts = await archivingOf(config);
  if (facts.inRecovery) throw standby();
  const server = await findLocalServer(facts, request.pgdata);
  const place = choosePlace(request, facts, readNote(config));
  const { stanza, repo, changed, passphrase } = await configure(request, place, server, random);
  writeNote(config, { ...place, binaries: server.programs });
  const steps = [
    { step: 'configuration', says: `${place.config}${changed ? ' written' : ''}` },
    { step: 'repository', says: repo },
  ];
  const told = (await readObservation(store.settings))?.stanza?.config === place.config;
  const report = {
    done: false,
    stanza: place.stanza,
    steps,
    passphrase: told ? null : passphrase,
    timers: [],
    status: null,
  };
  const tool = new PgBackRest(stanza);
  progress('making the stanza');
  await tool.run('stanza-create', [], signal).catch(explainOtherCluster);
  steps.push({ step: 'stanza', says: place.stanza });
  const next = await letPostgresArchive(config, facts, { tool, apply: request.apply });
  if (next) return { ...report, next };
  steps.push({ step: 'archiving', says: 'on' });
  progress('waiting for a segment to arrive');
  await tool.run('check', [], signal);
  steps.push({ step: 'check', says: 'a segment of the log has arrived in the repository' });
  steps.push({ step: 'full backup', says: await firstBackup(tool, signal, progress) });
  const took = await roundTrip(config, { store, tool, server }, { signal, progress, clock, random });
  steps.push({
    step: 'round trip',
    says: `a marker came back from its moment, in ${Math.ceil(took / 1000)} s`,
  });
  const status = await recoveryStatus(config, clock);
  return { ...report, done: true, next: null, timers: timersOf(tool), status };
}

function standby(): Failure {
  return new Failure('refused', 'The database of the settings is a standby, or is being restored.', {
    hint: 'Run this on the primary; its archive is enough for both.',
  });
}

/** What is left for the operator before PostgreSQL archives through pgBackRest; undefined when it does. */
async function letPostgresArchive(
  config: Config,
  facts: ArchivingFacts,
  { tool, apply }: { tool: PgBackRest; apply: boolean },
): Promise<Wait | undefined> {
  // While archive_mode is off PostgreSQL does not show what else has been set.
  const onlyRestart = facts.pendingRestart && facts.archiveMode === 'off';
  const missing = onlyRestart ? [] : missingSettings(facts, archiveCommand(tool.stanza));
  const restart = onlyRestart || missing.some(({ name }) => name === 'archive_mode' || name === 'wal_level');
  if (missing.length > 0 && !(apply && facts.superuser)) {
    return linesFor(facts, alterLines(missing), restart);
  }
  if (missing.length > 0) await alterSystem(postgresOf(config), missing);
  if (!restart) return undefined;
  return {
    say: 'PostgreSQL archives once it has been restarted. Restart it, then run the same command again:',
    lines: ['systemctl restart postgresql'],
  };
}

function linesFor({ superuser }: ArchivingFacts, lines: readonly string[], restart: boolean): Wait {
  const then = `${restart ? 'restart PostgreSQL, then ' : ''}run the same command again`;
  const who = superuser
    ? 'PostgreSQL has to be told to archive. --apply does it; or type this in psql'
    : 'PostgreSQL has to be told to archive, which the role of the settings may not. Type this in psql as a superuser';
  return { say: `${who}, ${then}:`, lines };
}

async function firstBackup(
  tool: PgBackRest,
  signal: AbortSignal,
  progress: (step: string) => void,
): Promise<string> {
  const before = await tool.info();
  const full = before.backups.filter(({ type, restorable }) => type === 'full' && restorable).at(-1);
  if (full) return `${full.label} is there`;
  progress('making the first full backup');
  await tool.run('backup', ['--type=full'], signal);
  const { backups } = await tool.info();
  return `${backups.at(-1)?.label ?? 'none'} made`;
}

/** How long the round trip took, ms; what was seen is remembered. */
async function roundTrip(
  config: Config,
  { store, tool, server }: { store: Store; tool: PgBackRest; server: LocalServer },
  parts: Required<SetupParts>,
): Promise<number> {
  const { clock } = parts;
  const began = clock.now();
  await tryRoundTrip(config, store, { ...tool.stanza, binaries: server.programs }, parts);
  const round_trip_at = clock.now();
  const { config: file, stanza } = tool.stanza;
  await writeObservation(store.settings, clock, {
    by: 'pgbackrest',
    stanza: { config: file, stanza },
    seen_at: round_trip_at,
    repository: await tool.info(),
    round_trip_at,
    round_trip_ms: round_trip_at - began,
  });
  return round_trip_at - began;
}

/** The database has been made anew, or the stanza is somebody else's; pgBackRest tells by its number 28 (or 51). */
function explainOtherCluster(error: unknown): never {
  if (!(error instanceof PgBackRestFailure) || (error.exit !== 28 && error.exit !== 51)) throw error;
  throw new Failure('refused', 'The stanza of that name belongs to another cluster.', {
    detail: error.detail ?? '',
    hint: 'Name a new one with --stanza NAME and a folder for it with --write DIR. After an upgrade of PostgreSQL: pgbackrest stanza-upgrade.',
    cause: error,
  });
}

/** For cron: a full backup a week, a smaller one a day, and a look that the servers learn from. */
function timersOf(tool: PgBackRest): readonly string[] {
  const backup = (type: string) => tool.commandLine('backup', `--type=${type}`).replace(/^sudo -u \S+ /, '');
  const { name } = tool.owner;
  return [
    `30 1 * * 0    ${name}  ${backup('full')}`,
    `30 1 * * 1-6  ${name}  ${backup('diff')}`,
    '0 3 * * *     root      authserver recovery status',
  ];
}
