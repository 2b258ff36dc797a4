/** `authserver restore`: the backup that is asked for, what would become of it, and how it is brought back. */
import type { CatalogEntry } from '../../archive/catalog.ts';
import type { FormatRecord } from '../../archive/manifest.ts';
import type { ReadOptions } from '../../archive/reader.ts';
import { makeIds } from '../../kernel/ids.ts';
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
import { scratchParent } from '../scratch.ts';
import { readState, stateFiles } from '../state-dir.ts';
import { archiveOrigin, knownFrom, type Picked, type Pictured } from './archive-origin.ts';
import { checkEmpty, chooseDestination, placeName } from './destination.ts';
import { type KeyRequest, type KeysAtHand, keysAtHand } from './keys-at-hand.ts';
import { knowsMore, readingOf, surveyFrom } from './log.ts';
import { type PreparedRestore, prepare, takeOver, type WorldParts, worldOf } from './prepared.ts';
import { keysOf, type Present, readPresent, toldBy } from './present.ts';
import { openReadable } from './readable.ts';
import { findSource, type Source } from './source.ts';
import { choosePlace, databaseFile } from './staging.ts';

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
  if (config.storage.driver === 'postgres' && to !== undefined && backup === undefined) {
    const { prepareMoment } = await import('./point-in-time.ts');
    return prepareMoment(config, { ...request, to }, given);
  }
  const world = worldOf(config, given);
  const { storage, isElsewhere } = chooseDestination(config, into);
  const live = storageChoice(config);
  const taken = isElsewhere ? { lock: undefined, obstacles: [] } : await takeOver(config, storage, world);
  try {
    const present = await readPresent(world.files, live);
    const picked = await pick(config, request, present, world);
    const id = makeIds(world.clock, world.random).next('rst');
    const keeps = !isElsewhere && present.isThere;
    const place = await choosePlace(world.files, storage, { id, keeps });
    const log = await surveyOf(request, { present, picked });
    const facts = await factsOf(config, request, { storage, present, picked, log, kept: place.kept }, world);
    const { plan, obstacles } = judge(facts);
    const inTheWay = isElsewhere ? await checkEmpty(storage, world) : [];
    return await prepare({ plan, obstacles: [...taken.obstacles, ...inTheWay, ...obstacles] }, taken.lock, {
      ...world,
      config,
      storage,
      isElsewhere,
      id,
      place,
      origin: archiveOrigin(config, request, { storage, present, picked, log }, world),
      formerEpoch: present.epoch,
      formerKeys: keysOf(present, plan.deployment),
      distrusted: present.distrusted,
      removals: request.removals,
      actor: 'admin:operator',
    });
  } catch (error) {
    taken.lock?.release();
    throw error;
  }
}

async function pick(
  config: Config,
  request: RestoreRequest,
  present: Present,
  { files, clock }: WorldParts,
): Promise<Picked> {
  const keys = await keysAtHand(config, request, present);
  const known = knownDeployments(config, present, keys);
  const source = await findSource(files, config, clock, {
    backup: request.backup,
    target: request.target,
    until: request.to,
    unverified: request.unverified,
    deploymentId: request.acceptDeployment ?? known[0]?.id,
    trust: keys.trust,
    distrusted: keys.distrusted,
  });
  const { trust } = source;
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
  const { shelves, ...others } = await readingOf(config, clock, rest);
  const beside = source.beside ? [{ name: source.place, shelf: source.beside }] : [];
  return { source, known, reading, format, logReading: { ...others, shelves: [...shelves, ...beside] } };
}

/** Rows that come out of an SQLite database are taken on where the newest state is asked for, or a moment. */
async function surveyOf(
  { backup, to }: RestoreRequest,
  { present, picked }: Omit<Pictured, 'storage'>,
): Promise<LogFacts | undefined> {
  const record = picked.source.entry?.record;
  if (!record || (backup !== undefined && to === undefined)) return undefined;
  const logged = { epoch: record.restore_epoch, recoveryPoint: record.recovery_point };
  return surveyFrom(picked.logReading, logged, present.logPosition);
}

async function formatOf(source: Source, reading: ReadOptions): Promise<FormatRecord> {
  await using archive = await openReadable(source, reading);
  return archive.format;
}

async function factsOf(
  config: Config,
  request: RestoreRequest,
  at: Pictured & { readonly log: LogFacts | undefined; readonly kept: string | null },
  { clock, files }: WorldParts,
): Promise<RestoreFacts> {
  const { storage, present, picked, log, kept } = at;
  const isElsewhere = request.into !== undefined;
  const { entry, size } = picked.source;
  const roomAt =
    storage.driver === 'sqlite' ? databaseFile(storage.sqlite.path) : log && scratchParent(config);
  return {
    now: clock.now(),
    backup: backupFacts(picked),
    to: request.to,
    log,
    isLogged: log !== undefined || (await knowsMore(picked.logReading, knownFrom(picked))),
    sessions: request.sessions,
    unverified: request.unverified,
    destination: {
      place: placeName(storage),
      kept_as: kept,
      unreadable: present.unreadable ?? null,
      revocations: toldBy(present),
      isElsewhere,
    },
    deployment: { known: picked.known, accepted: request.acceptDeployment },
    schemaSteps: timeline.slice(picked.format.schema.length).map(nameOf),
    room: {
      needed: 2 * (entry?.record?.unpacked_size ?? size * USUAL_RATIO),
      free: roomAt === undefined ? null : await files.free(roomAt),
      ...(storage.driver === 'postgres' && log && { at: config.state_dir }),
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
