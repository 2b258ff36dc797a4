/** `authserver restore undo`: the state that the last restore has put aside, brought back in the same way; and its letting go. */
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { LogReading } from '../../ops/recovery/log-reader.ts';
import { judge, type RestoreFacts } from '../../ops/restore/plan.ts';
import { nameOf, stepsUpTo, timeline } from '../../store/migrations/timeline.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { lookAtSchema, type StorageChoice } from '../open-store.ts';
import { stageFromRows } from '../restore-rows.ts';
import { lockedFailure, prepareStateDir, readState, stateFiles, tryLock } from '../state-dir.ts';
import { programVersion } from '../version.ts';
import type { Files } from './files.ts';
import { finishRestore } from './finish.ts';
import { forgetLast, type LastRestore, readJournal, readLast } from './journal.ts';
import type { ArchivedKeyFile } from './key-files.ts';
import { type KeyRequest, keysAtHand, opensLog } from './keys-at-hand.ts';
import { knowsMore, readingOf, revocationsIn } from './log.ts';
import { type PreparedRestore, prepare, takeOver, type WorldParts, worldOf } from './prepared.ts';
import { keysOf, type Present, readPresent, toldBy } from './present.ts';
import type { Origin } from './restoration.ts';
import { choosePlace, databaseFile, dropKept, keptSize, keptStorage } from './staging.ts';

/**
 * Plans the undoing of the last restore, and holds the state directory until it is disposed of.
 * @param request what opens the recovery log, which knows what was taken away since
 * Failures: `not_found` where there is none, or what it kept is gone; `refused` when that cannot be read; `invalid_input`;
 * `unavailable`.
 */
export async function prepareUndo(
  config: Config,
  request: KeyRequest,
  given: Partial<WorldParts> = {},
): Promise<PreparedRestore> {
  const world = worldOf(config, given);
  const { files, clock, random } = world;
  const storage = storageChoice(config);
  const { lock, obstacles } = await takeOver(config, storage, world);
  try {
    const last = await lastRestore(files, config);
    const kept = await keptOf(files, storage, last);
    const id = makeIds(clock, random).next('rst');
    const present = await readPresent(files, storage);
    const place = await choosePlace(files, storage, { id, keeps: present.isThere });
    const since = await logSince(config, request, { last, kept, present }, world);
    const facts = await factsOf({ last, kept, present, since, storage, keptAs: place.kept }, world);
    const judged = judge(facts);
    return await prepare({ plan: judged.plan, obstacles: [...obstacles, ...judged.obstacles] }, lock, {
      ...world,
      config,
      storage,
      isElsewhere: false,
      id,
      place,
      origin: keptOrigin(config, { last, kept, present, since }, world),
      formerEpoch: present.epoch,
      formerKeys: keysOf(present, judged.plan.deployment),
      distrusted: present.distrusted,
      removals: 'repeat',
      actor: 'admin:operator',
    });
  } catch (error) {
    lock?.release();
    throw error;
  }
}

/** What was let go of. */
export interface Forgotten {
  readonly databases: readonly string[];
  readonly keys: readonly string[];
}

/**
 * Removes what restores have kept for their undoing; a server that runs has nothing to do with that.
 * Failures: `not_found` where there is nothing, `refused` while a restore is under way, `unavailable`.
 */
export async function forgetRestores(config: Config, given: Partial<WorldParts> = {}): Promise<Forgotten> {
  const { files, log } = worldOf(config, given);
  prepareStateDir(config.state_dir);
  using lock = tryLock(config);
  if (lock) await finishRestore(config, { files, log });
  else if (await readJournal(files, config.state_dir)) throw lockedFailure(config.state_dir);
  const storage = storageChoice(config);
  const { copies } = await lastRestore(files, config);
  await dropKept(files, storage, copies.databases);
  for (const key of copies.keys) await files.remove(key);
  await forgetLast(files, config.state_dir);
  return copies;
}

async function lastRestore(files: Files, config: Config): Promise<LastRestore> {
  const last = await readLast(files, config.state_dir);
  if (last) return last;
  throw new Failure(
    'not_found',
    `Nothing was restored here (${config.state_dir}), or what it had kept was let go of.`,
    {
      hint: 'To go back to an earlier state, restore a backup: `authserver restore --latest --plan`.',
    },
  );
}

/** The database that was put aside, looked at. */
interface Kept {
  readonly storage: StorageChoice;
  readonly size: number;
  readonly schema: RestoreFacts['schemaSteps'];
  readonly deployment: string;
}

async function keptOf(files: Files, storage: StorageChoice, last: LastRestore): Promise<Kept> {
  const { place } = last;
  if (place.engine !== storage.driver) {
    throw new Failure(
      'refused',
      `The last restore was into ${place.database}, which the settings no longer name.`,
      {
        hint: 'Run this with the settings that the restore had.',
      },
    );
  }
  const kept = await keptStorage(storage, place);
  const size = await keptSize(files, storage, place);
  if (kept === undefined || size === undefined) {
    throw new Failure('not_found', 'There was no state before the last restore, or it has been removed.', {
      hint: 'To go back to an earlier state, restore a backup: `authserver restore --latest --plan`.',
    });
  }
  try {
    const { applied, deployment } = await lookAtSchema(kept);
    if (deployment === undefined) throw new Error('it does not say whose it is');
    stepsUpTo(applied);
    return { storage: kept, size, schema: timeline.slice(applied.length).map(nameOf), deployment };
  } catch (cause) {
    throw new Failure(
      'refused',
      `The state before the last restore cannot be read: it is in ${place.kept}, as it was.`,
      {
        detail: cause instanceof Error ? cause.message : String(cause),
        hint: 'It was kept because nobody throws a database away, not because it works. Restore another backup: `authserver backup list`.',
        cause,
      },
    );
  }
}

/** What is known of the two ends. */
interface Pictured {
  readonly last: LastRestore;
  readonly kept: Kept;
  readonly present: Present;
}

/** The recovery log of the time since the restore. */
interface LogSince {
  readonly reading: LogReading;
  readonly isRead: boolean;
  /** It was written in that time. Asked only where the present database does not tell. */
  readonly isLogged: boolean;
  readonly doubts: readonly string[];
}

const LOCKED_LOG =
  'Without the recovery key (--recovery-key FILE) the recovery log beside the backups does not open, and the present database does not tell: what was revoked, disabled or changed since may be in force again.';

async function logSince(
  config: Config,
  request: KeyRequest,
  { last, kept, present }: Pictured,
  { clock }: WorldParts,
): Promise<LogSince> {
  const keys = await keysAtHand(config, request, present);
  const { identities, passphrases, trust } = keys;
  const noted = readState(config.state_dir, stateFiles.deployment)?.trim();
  // Of whoever served meanwhile, which need not be the one that is brought back.
  const deploymentId = present.deploymentId ?? (noted || kept.deployment);
  const rest = { identities: { identities, passphrases }, trust, deploymentId };
  const reading = await readingOf(config, clock, rest);
  const isTold = toldBy(present) !== null;
  const isLogged = !isTold && (await knowsMore(reading, last.at));
  const opens = opensLog(config, keys);
  // What is spooled opens without a key, too.
  return { reading, isRead: opens || !isTold, isLogged, doubts: isLogged && !opens ? [LOCKED_LOG] : [] };
}

async function factsOf(
  at: Pictured & {
    readonly since: LogSince;
    readonly storage: StorageChoice;
    readonly keptAs: string | null;
  },
  { clock, files }: WorldParts,
): Promise<RestoreFacts> {
  const { last, kept, present, since, storage, keptAs } = at;
  const { database } = last.place;
  return {
    now: clock.now(),
    backup: {
      id: last.id,
      place: last.place.kept ?? '',
      deployment_id: kept.deployment,
      program: programVersion(),
      made_at: last.at,
      recovery_point: { from: last.at, to: last.at },
      size: kept.size,
      // It served until it was put aside; that is more than a proof.
      verified_at: last.at,
      rto_ms: null,
      faults: [],
    },
    to: undefined,
    log: undefined,
    isLogged: since.isLogged,
    sessions: 'end',
    unverified: false,
    destination: {
      place: database,
      kept_as: keptAs,
      unreadable: present.unreadable ?? null,
      revocations: toldBy(present),
      isElsewhere: false,
    },
    // It was served from here before.
    deployment: { known: [], accepted: undefined },
    schemaSteps: kept.schema,
    room: {
      needed: 2 * kept.size,
      free: storage.driver === 'sqlite' ? await files.free(databaseFile(storage.sqlite.path)) : null,
    },
    doubts: since.doubts,
  };
}

function keptOrigin(
  config: Config,
  { last, kept, present, since }: Pictured & { readonly since: LogSince },
  { clock, random, files }: WorldParts,
): Origin {
  return {
    verb: 'undo',
    from: last.id,
    async fill(staged, signal) {
      const { totals } = await stageFromRows(kept.storage, staged, { clock, random, signal });
      return { totals, keys: await keysBefore(files, last) };
    },
    async revocations(signal) {
      if (!since.isRead) return { rows: present.revocations, notes: [] };
      const logged = await revocationsIn(config, { ...since.reading, signal }, last.at);
      return { rows: [...logged.rows, ...present.revocations], notes: logged.notes };
    },
  };
}

/** Key files that the restore had exchanged, as they were. */
async function keysBefore(files: Files, { keys }: LastRestore): Promise<ArchivedKeyFile[]> {
  const found: ArchivedKeyFile[] = [];
  for (const { target, kept } of keys) {
    const text = kept === null ? undefined : await files.read(kept);
    if (text !== undefined) found.push({ name: path.basename(target), text });
  }
  return found;
}
