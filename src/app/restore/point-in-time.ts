/** `restore --to` on PostgreSQL: the moment comes out of the engine's own log, and its rows are brought back as a backup's are. */
import { asFailure, Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import { OBSERVATION, type Observation } from '../../ops/point-in-time/status.ts';
import { judge, type RestoreFacts, type SessionFate } from '../../ops/restore/plan.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import type { StorageChoice } from '../open-store.ts';
import { baseOf, type MomentBase, rowsAt } from '../pgbackrest/rows-at.ts';
import { stageFromRows } from '../restore-rows.ts';
import { readState, stateFiles } from '../state-dir.ts';
import { checkEmpty, chooseDestination, placeName } from './destination.ts';
import { type KeyRequest, type KeysAtHand, keysAtHand, opensLog } from './keys-at-hand.ts';
import { readingOf, revocationsIn, type TakenAway } from './log.ts';
import { type PreparedRestore, prepare, takeOver, type WorldParts, worldOf } from './prepared.ts';
import { keysOf, type Present, readPresent, toldBy } from './present.ts';
import type { Origin } from './restoration.ts';
import { choosePlace } from './staging.ts';

export interface MomentRequest extends KeyRequest {
  /** ms */
  readonly to: number;
  /** A path or a connection string; undefined for the place that the settings name. */
  readonly into?: string | undefined;
  readonly sessions: SessionFate;
  readonly removals: 'repeat' | 'disable';
  readonly acceptDeployment: string | undefined;
}

export interface MomentParts extends WorldParts {
  /** The database as it was, and what it is made of; for tests another way to it than pgBackRest. */
  readonly rowsAt: typeof rowsAt;
  readonly baseOf: typeof baseOf;
}

/**
 * Plans to go back to a moment that pgBackRest reaches, and holds the state directory until it is disposed of.
 * Failures: `unavailable`, `configuration`; `refused` where nobody knows whose database it is.
 */
export async function prepareMoment(
  config: Config,
  request: MomentRequest,
  given: Partial<MomentParts> = {},
): Promise<PreparedRestore> {
  const world = { ...worldOf(config, given), rowsAt, baseOf, ...given };
  const { storage, isElsewhere } = chooseDestination(config, request.into);
  const taken = isElsewhere
    ? { lock: undefined, obstacles: await checkEmpty(storage, world) }
    : await takeOver(config, storage, world);
  try {
    const live = storageChoice(config);
    const present = await readPresent(world.files, live);
    const id = makeIds(world.clock, world.random).next('rst');
    const place = await choosePlace(world.files, storage, { id, keeps: !isElsewhere && present.isThere });
    const deployment = deploymentOf(config, request, present);
    const found = await lookFor(config, request.to, world);
    const base = found instanceof Failure ? undefined : found;
    const tried = await lastTried(live);
    const keys = await keysAtHand(config, request, present);
    const doubts = opensLog(config, keys) ? [] : [LOCKED_LOG];
    const at = { present, storage, deployment, base, tried, isElsewhere, kept: place.kept, doubts };
    const judged = judge(factsOf(request, at, world));
    const inTheWay = found instanceof Failure ? [found] : [];
    const obstacles = [...taken.obstacles, ...inTheWay, ...judged.obstacles];
    return await prepare({ plan: judged.plan, obstacles }, taken.lock, {
      ...world,
      config,
      storage,
      isElsewhere,
      id,
      place,
      origin: momentOrigin(config, request, { present, deployment, keys }, world),
      formerEpoch: present.epoch,
      formerKeys: keysOf(present, deployment),
      distrusted: present.distrusted,
      removals: request.removals,
      actor: 'admin:operator',
    });
  } catch (error) {
    taken.lock?.release();
    throw error;
  }
}

/** What is in the way of it is told beside the rest of the plan. */
async function lookFor(
  config: Config,
  to: number,
  { baseOf: look }: Pick<MomentParts, 'baseOf'>,
): Promise<MomentBase | Failure> {
  try {
    return await look(config, to);
  } catch (error) {
    return asFailure(error);
  }
}

/** When `recovery setup` has last taken a marker out of a restored cluster, ms; null where nobody knows of it. */
async function lastTried(live: StorageChoice): Promise<number | null> {
  if (live.driver !== 'postgres') return null;
  try {
    const { settingIn } = await import('../../store/postgres/swap-schema.ts');
    const value = await settingIn(live.postgres, OBSERVATION);
    const { round_trip_at = null } = JSON.parse(value ?? '{}') as Partial<Observation>;
    return round_trip_at;
  } catch {
    return null;
  }
}

function deploymentOf({ state_dir }: Config, { acceptDeployment }: MomentRequest, present: Present): string {
  const noted = readState(state_dir, stateFiles.deployment)?.trim();
  const found = acceptDeployment ?? present.deploymentId ?? (noted || undefined);
  if (found !== undefined) return found;
  throw new Failure('refused', 'Nobody knows whose database it is that would be brought back.', {
    detail: 'neither the state directory nor the present database says it',
    hint: 'Name the deployment; its id stands on the recovery sheet: --accept-deployment ID.',
  });
}

/** The archive of PostgreSQL opens without the recovery key; what is known of access that was taken away may not. */
const LOCKED_LOG =
  'Without the recovery key (--recovery-key FILE) the recovery log beside the backups is not read: access that was taken away since is known only as far as the present database tells.';

interface MomentAt {
  readonly present: Present;
  readonly storage: StorageChoice;
  readonly deployment: string;
  readonly base: MomentBase | undefined;
  readonly tried: number | null;
  readonly isElsewhere: boolean;
  readonly kept: string | null;
  readonly doubts: readonly string[];
}

/** What the engine's own log holds needs no proof of ours; when its way back was last tried is told. */
function factsOf(
  { to, sessions, acceptDeployment }: MomentRequest,
  at: MomentAt,
  { clock }: WorldParts,
): RestoreFacts {
  const { present, storage, deployment, base, tried, isElsewhere, kept, doubts } = at;
  return {
    now: clock.now(),
    backup: {
      id: idOf(to),
      place: base?.place ?? 'pgBackRest',
      deployment_id: deployment,
      program: null,
      made_at: base?.backup.stopped_at ?? to,
      recovery_point: { from: to, to },
      size: base?.backup.size ?? 0,
      verified_at: tried,
      rto_ms: null,
      faults: [],
    },
    to,
    log: { reaches: to, complete: false },
    isLogged: true,
    sessions,
    unverified: true,
    destination: {
      place: placeName(storage),
      kept_as: kept,
      unreadable: present.unreadable ?? null,
      revocations: toldBy(present),
      isElsewhere,
    },
    deployment: { known: [], accepted: acceptDeployment },
    schemaSteps: [],
    room: base?.room ?? { needed: 0, free: null },
    doubts,
  };
}

function idOf(to: number): string {
  return `pgbackrest-${new Date(to).toISOString()}`;
}

function momentOrigin(
  config: Config,
  request: MomentRequest,
  { present, deployment, keys }: { present: Present; deployment: string; keys: KeysAtHand },
  parts: Pick<MomentParts, 'clock' | 'random' | 'rowsAt'>,
): Origin {
  const { clock, random } = parts;
  const { to } = request;
  return {
    verb: 'restore',
    from: idOf(to),
    async fill(staged, signal) {
      await using rows = await parts.rowsAt(config, to, { signal });
      // The last commit in the archive may be named: nothing that comes after it says that it is the moment.
      if (!rows.complete && (rows.reached ?? 0) < to) throw notReached(to, rows.reached);
      const { head, totals } = await stageFromRows(rows.storage, staged, { clock, random, signal });
      if (head.deployment.id !== deployment) throw otherDeployment(head.deployment.id, deployment);
      // Private keys of the file store were never in the database; those on this host stay.
      return { totals, keys: [] };
    },
    async revocations(signal): Promise<TakenAway> {
      if (!opensLog(config, keys)) return { rows: present.revocations, notes: [] };
      const { identities, passphrases, trust } = keys;
      const rest = { identities: { identities, passphrases }, trust, deploymentId: deployment, signal };
      const logged = await revocationsIn(config, await readingOf(config, clock, rest), to);
      return { rows: [...logged.rows, ...present.revocations], notes: logged.notes };
    },
  };
}

function notReached(to: number, reached: number | null): Failure {
  const end = reached === null ? 'earlier' : `at ${new Date(reached).toISOString()}`;
  const last = reached === null ? '' : ` To its very end: --to ${new Date(reached).toISOString()}`;
  return new Failure('refused', `The archived log ends before ${new Date(to).toISOString()}: ${end}.`, {
    hint: `Nothing was changed. Name an earlier moment; \`authserver recovery status\` shows the window.${last}`,
  });
}

function otherDeployment(found: string, wanted: string): Failure {
  return new Failure('refused', `The database of then is of deployment ${found}, not of ${wanted}.`, {
    hint: `If that is the one you mean: --accept-deployment ${found}.`,
  });
}
