/** `restore --to` on PostgreSQL: the moment comes out of the engine's own log, and its rows are brought back as a backup's are. */
import { Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import { judge, type RestoreFacts, type SessionFate } from '../../ops/restore/plan.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import type { StorageChoice } from '../open-store.ts';
import { rowsAt } from '../pgbackrest/rows-at.ts';
import { stageFromRows } from '../restore-rows.ts';
import { readState, stateFiles } from '../state-dir.ts';
import { programVersion } from '../version.ts';
import { type KeyRequest, keysAtHand } from './keys-at-hand.ts';
import { readingOf, revocationsIn, type TakenAway } from './log.ts';
import { type PreparedRestore, prepare, takeOver, type WorldParts, worldOf } from './prepared.ts';
import { type Present, readPresent } from './present.ts';
import { destinationOf, type Origin } from './restoration.ts';
import { choosePlace, postgresName } from './staging.ts';

export interface MomentRequest extends KeyRequest {
  /** ms */
  readonly to: number;
  readonly sessions: SessionFate;
  readonly removals: 'repeat' | 'disable';
  readonly acceptDeployment: string | undefined;
}

export interface MomentParts extends WorldParts {
  /** The database as it was; for tests another way to it than pgBackRest. */
  readonly rowsAt: typeof rowsAt;
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
  const world = worldOf(config, given);
  const storage = destinationOf(config, undefined);
  const { lock, obstacles } = await takeOver(config, storage, world);
  try {
    const present = await readPresent(world.files, storageChoice(config));
    const id = makeIds(world.clock, world.random).next('rst');
    const place = await choosePlace(world.files, storage, { id, keeps: present.isThere });
    const deployment = deploymentOf(config, request, present);
    const judged = judge(factsOf(request, { present, storage, deployment, kept: place.kept }, world));
    const origin = momentOrigin(config, request, { present, deployment }, { ...world, rowsAt, ...given });
    return prepare({ plan: judged.plan, obstacles: [...obstacles, ...judged.obstacles] }, lock, {
      ...world,
      config,
      storage,
      isElsewhere: false,
      id,
      place,
      origin,
      formerEpoch: present.epoch,
      removals: request.removals,
      actor: 'admin:operator',
    });
  } catch (error) {
    lock?.release();
    throw error;
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

/** What the engine's own log holds needs no proof of ours: `recovery setup` has made its round trip. */
function factsOf(
  { to, sessions, acceptDeployment }: MomentRequest,
  at: { present: Present; storage: StorageChoice; deployment: string; kept: string | null },
  { clock }: WorldParts,
): RestoreFacts {
  const { present, storage, deployment, kept } = at;
  const moment = { from: to, to };
  return {
    now: clock.now(),
    backup: {
      id: `pgbackrest-${new Date(to).toISOString()}`,
      place: 'the repository of pgBackRest',
      deployment_id: deployment,
      program: programVersion(),
      made_at: to,
      recovery_point: moment,
      size: 0,
      verified_at: to,
      rto_ms: null,
      faults: [],
    },
    to,
    log: { reaches: to, complete: false },
    sessions,
    unverified: false,
    destination: {
      place: storage.driver === 'postgres' ? postgresName(storage.postgres.dsn) : storage.sqlite.path,
      kept_as: kept,
      unreadable: present.unreadable ?? null,
      revocations: present.isThere && present.unreadable === undefined ? present.revocations.length : null,
      isElsewhere: false,
    },
    deployment: { known: [], accepted: acceptDeployment },
    schemaSteps: [],
    room: { needed: 0, free: null },
  };
}

function momentOrigin(
  config: Config,
  request: MomentRequest,
  { present, deployment }: { readonly present: Present; readonly deployment: string },
  parts: MomentParts,
): Origin {
  const { clock, random } = parts;
  const { to } = request;
  return {
    verb: 'restore',
    from: `pgbackrest-${new Date(to).toISOString()}`,
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
      const { identities, passphrases, trust } = await keysAtHand(config, request);
      const all = [...new Set([...trust, ...present.signers])];
      const rest = { identities: { identities, passphrases }, trust: all, deploymentId: deployment, signal };
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
