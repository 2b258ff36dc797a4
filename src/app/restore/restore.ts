/** `authserver restore`: the backup that is asked for, what would become of it, and how it is brought back. */
import type { CatalogEntry } from '../../archive/catalog.ts';
import type { FormatRecord } from '../../archive/manifest.ts';
import { openArchive, type ReadOptions } from '../../archive/reader.ts';
import { Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { LogReading } from '../../ops/recovery/log-reader.ts';
import {
  type BackupFacts,
  judge,
  type LogFacts,
  type RestoreFacts,
  type SessionFate,
} from '../../ops/restore/plan.ts';
import { nameOf, timeline } from '../../store/migrations/timeline.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import type { StorageChoice } from '../open-store.ts';
import { readState, stateFiles } from '../state-dir.ts';
import { unpackInto } from '../unpack.ts';
import { type KeyRequest, type KeysAtHand, keysAtHand } from './keys-at-hand.ts';
import { readingOf, replayInto, revocationsIn, surveyFrom } from './log.ts';
import { type PreparedRestore, prepare, takeOver, type WorldParts, worldOf } from './prepared.ts';
import { type Present, readPresent } from './present.ts';
import { openReadable } from './readable.ts';
import { destinationOf, type Origin } from './restoration.ts';
import { findSource, type Source } from './source.ts';
import { choosePlace, databaseFile, postgresName } from './staging.ts';

export interface RestoreRequest extends KeyRequest {
  /** An id or the path of an archive; undefined for the newest. */
  readonly backup: string | undefined;
  readonly target: string | undefined;
  /** The moment to go back to, ms. */
  readonly to: number | undefined;
  /** A path or a connection string; undefined for the place that the settings name. */
  readonly into: string | undefined;
  readonly sessions: SessionFate;
  readonly removals: 'repeat' | 'disable';
  readonly unverified: boolean;
  readonly acceptDeployment: string | undefined;
}

/**
 * Plans a restore, and holds the state directory until it is disposed of. Nothing changes before `run`.
 * Failures: `not_found`, `invalid_input`, `configuration`, `unavailable`; `refused` where not even a plan can be made:
 * nothing at hand opens the backup, or it is of a newer version.
 */
export async function prepareRestore(
  config: Config,
  request: RestoreRequest,
  given: Partial<WorldParts> = {},
): Promise<PreparedRestore> {
  const { to, backup, into } = request;
  if (
    config.storage.driver === 'postgres' &&
    to !== undefined &&
    backup === undefined &&
    into === undefined
  ) {
    const { prepareMoment } = await import('./point-in-time.ts');
    return prepareMoment(config, { ...request, to }, given);
  }
  const world = worldOf(config, given);
  const isElsewhere = into !== undefined;
  const storage = destinationOf(config, into);
  const live = storageChoice(config);
  if (isElsewhere && placeName(storage) === placeName(live)) throw sameplace(placeName(live));
  const taken = isElsewhere ? { lock: undefined, obstacles: [] } : await takeOver(config, storage, world);
  try {
    const present = await readPresent(world.files, live);
    const picked = await pick(config, request, present, world);
    const id = makeIds(world.clock, world.random).next('rst');
    const keeps = !isElsewhere && present.isThere;
    const place = await choosePlace(world.files, storage, { id, keeps });
    const log = await surveyOf(request, { storage, present, picked });
    const facts = await factsOf(request, { storage, present, picked, log, kept: place.kept }, world);
    const { plan, obstacles } = judge(facts);
    const inTheWay = isElsewhere ? await checkEmpty(storage, world) : [];
    return prepare({ plan, obstacles: [...taken.obstacles, ...inTheWay, ...obstacles] }, taken.lock, {
      ...world,
      config,
      storage,
      isElsewhere,
      id,
      place,
      origin: archiveOrigin(config, request, { present, picked, log }, world),
      formerEpoch: present.epoch,
      removals: request.removals,
      actor: 'admin:operator',
    });
  } catch (error) {
    taken.lock?.release();
    throw error;
  }
}

/** The backup that was found, opened far enough to know what it is. */
interface Picked {
  readonly source: Source;
  readonly format: FormatRecord;
  readonly known: readonly { readonly id: string; readonly from: string }[];
  readonly reading: ReadOptions;
  readonly logReading: LogReading;
}

/** What is known of the two ends. */
interface Pictured {
  readonly storage: StorageChoice;
  readonly present: Present;
  readonly picked: Picked;
}

async function pick(
  config: Config,
  request: RestoreRequest,
  present: Present,
  { files, clock }: WorldParts,
): Promise<Picked> {
  const keys = await keysAtHand(config, request);
  const trust = [...new Set([...keys.trust, ...present.signers])];
  const known = knownDeployments(config, present, keys);
  const source = await findSource(files, config, clock, {
    backup: request.backup,
    target: request.target,
    until: request.to,
    unverified: request.unverified,
    deploymentId: request.acceptDeployment ?? known[0]?.id,
    trust,
  });
  const record = source.entry?.record;
  const reading: ReadOptions = {
    identities: keys.identities,
    passphrases: keys.passphrases,
    trust,
    ...(record && { file: record.file, id: record.id, deploymentId: record.deployment_id }),
  };
  const format = await formatOf(source, reading);
  const { identities, passphrases } = keys;
  const rest = { identities: { identities, passphrases }, trust, deploymentId: format.deployment_id };
  return { source, known, reading, format, logReading: await readingOf(config, clock, rest) };
}

/** Rows of an SQLite database are taken on where the newest state is asked for, or a moment. */
async function surveyOf(
  { backup, to }: RestoreRequest,
  { storage, present, picked }: Pictured,
): Promise<LogFacts | undefined> {
  const record = picked.source.entry?.record;
  if (!record || storage.driver !== 'sqlite' || (backup !== undefined && to === undefined)) return undefined;
  const logged = { epoch: record.restore_epoch, recoveryPoint: record.recovery_point };
  return surveyFrom(picked.logReading, logged, present.logPosition);
}

async function formatOf(source: Source, reading: ReadOptions): Promise<FormatRecord> {
  await using archive = await openReadable(source, reading);
  return archive.format;
}

async function factsOf(
  request: RestoreRequest,
  at: Pictured & { readonly log: LogFacts | undefined; readonly kept: string | null },
  { clock, files }: WorldParts,
): Promise<RestoreFacts> {
  const { storage, present, picked, log, kept } = at;
  const isElsewhere = request.into !== undefined;
  const { entry, size } = picked.source;
  return {
    now: clock.now(),
    backup: backupFacts(picked),
    to: request.to,
    log,
    sessions: request.sessions,
    unverified: request.unverified,
    destination: {
      place: placeName(storage),
      kept_as: kept,
      unreadable: present.unreadable ?? null,
      revocations: present.isThere && present.unreadable === undefined ? present.revocations.length : null,
      isElsewhere,
    },
    deployment: { known: picked.known, accepted: request.acceptDeployment },
    schemaSteps: timeline.slice(picked.format.schema.length).map(nameOf),
    room: {
      needed: 2 * (entry?.record?.unpacked_size ?? size * USUAL_RATIO),
      free: storage.driver === 'sqlite' ? await files.free(databaseFile(storage.sqlite.path)) : null,
    },
    doubts: picked.source.doubts,
  };
}

/** How much larger rows are than an archive of them, where no record says it. */
const USUAL_RATIO = 8;

function backupFacts({ source, format }: Picked): BackupFacts {
  const { entry, place, size } = source;
  const verification = entry?.verification?.passed === true ? entry.verification : undefined;
  const failed = entry?.verification?.passed === false ? entry.verification.findings : [];
  return {
    id: format.id,
    place,
    deployment_id: format.deployment_id,
    program: format.program,
    made_at: format.made_at,
    recovery_point: entry?.record?.recovery_point ?? { from: format.made_at, to: format.made_at },
    size,
    verified_at: verification?.verified_at ?? null,
    rto_ms: verification?.rto_ms ?? null,
    faults: [...faultsOf(entry), ...failed.map((finding) => `it did not pass its verification: ${finding}`)],
  };
}

function faultsOf(entry: CatalogEntry | undefined): readonly string[] {
  return entry?.faults ?? [];
}

function knownDeployments(
  { state_dir }: Config,
  present: Present,
  keys: KeysAtHand,
): readonly { readonly id: string; readonly from: string }[] {
  const noted = readState(state_dir, stateFiles.deployment)?.trim();
  const all = [
    { id: noted, from: state_dir },
    { id: present.deploymentId, from: 'the present database' },
    { id: keys.deploymentId, from: 'the recovery sheet' },
  ];
  return all.flatMap(({ id, from }) => (id === undefined || id === '' ? [] : [{ id, from }]));
}

function archiveOrigin(
  config: Config,
  request: RestoreRequest,
  { present, picked, log }: Omit<Pictured, 'storage'> & { readonly log: LogFacts | undefined },
  { clock, random }: WorldParts,
): Origin {
  const { source, reading, format, logReading } = picked;
  const isWhole = request.sessions === 'keep';
  const from = source.entry?.record?.recovery_point.from ?? format.made_at;
  return {
    verb: 'restore',
    from: format.id,
    async fill(staged, signal) {
      const whole = { ...reading, id: format.id, deploymentId: format.deployment_id, signal };
      await using archive = await openArchive(source.open(signal), whole);
      const { totals, keys } = await unpackInto(staged, archive, { clock, random, signal });
      return { totals, keys };
    },
    ...(log && {
      replay: (staged, signal) => replayInto(staged, { ...logReading, signal }, { to: request.to, isWhole }),
    }),
    async revocations(signal) {
      const logged = await revocationsIn(config, { ...logReading, signal }, from);
      return { rows: [...logged.rows, ...present.revocations], notes: logged.notes };
    },
  };
}

/** A place elsewhere has to be empty: whatever is there is not what would be kept. */
async function checkEmpty(storage: StorageChoice, { files }: WorldParts): Promise<readonly Failure[]> {
  const { isThere } = await readPresent(files, storage);
  if (!isThere) return [];
  return [
    new Failure('refused', `There is something at ${placeName(storage)} already.`, {
      hint: 'Name a file that is not there, or an empty database or schema.',
    }),
  ];
}

function placeName(storage: StorageChoice): string {
  return storage.driver === 'sqlite' ? databaseFile(storage.sqlite.path) : postgresName(storage.postgres.dsn);
}

function sameplace(place: string): Failure {
  return new Failure('invalid_input', `${place} is the database of the settings.`, {
    hint: 'Leave --into out: then the present state is kept beside the restored one, and can be brought back.',
  });
}
