/** The backup that is meant: by its id, as the newest one, or as a file. */
import path from 'node:path';
import { isBackupId } from '../../archive/backup-id.ts';
import { type BackupRecord, type CatalogEntry, readHolding } from '../../archive/catalog.ts';
import { trustFrom } from '../../archive/endorsement.ts';
import type { Trust } from '../../archive/signature.ts';
import { Folder } from '../../archive/targets/folder.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { makeTarget, type Target } from '../../archive/targets/target.ts';
import type { Clock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { systemRandom } from '../../kernel/random.ts';
import { openPlaces } from '../backup/places.ts';
import type { Config } from '../config.ts';
import type { Files } from './files.ts';

export interface Source {
  /** Undefined for a file without a record: then only the archive itself says what it is. */
  readonly entry: CatalogEntry | undefined;
  /** Where it lies, as an operator would write it. */
  readonly place: string;
  /** Bytes of the archive. */
  readonly size: number;
  /** Whose signatures count for it: those that were asked for, and whomever notes beside a file lead to. */
  readonly trust: Trust;
  /** The folder of a file, which may be a copy of a target, the recovery log included; undefined for one of a target. */
  readonly beside?: Shelf;
  /** Why there may be a better one. */
  readonly doubts: readonly string[];
  open(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface SourceRequest {
  /** An id or the path of a file; undefined for the newest. */
  readonly backup: string | undefined;
  /** Only on this target. */
  readonly target: string | undefined;
  /** Nothing newer than that, ms. */
  readonly until: number | undefined;
  /** One that was never proven will do. */
  readonly unverified: boolean;
  readonly deploymentId: string | undefined;
  readonly trust: Trust;
  /** Who is not believed, whoever vouches for them. */
  readonly distrusted: Trust;
}

/** Failures: `not_found`, `invalid_input`, `refused` for one that cannot be believed, `unavailable`. */
export async function findSource(
  files: Files,
  config: Config,
  clock: Clock,
  request: SourceRequest,
): Promise<Source> {
  const { backup, target } = request;
  if (backup !== undefined && !isBackupId(backup)) return fileSource(files, backup, request);
  const places = await openPlaces(config, clock, target);
  const targets = places.map((place) => place.target);
  return backup === undefined ? newest(targets, request) : named(targets, backup, request.trust);
}

/** The same backup may lie on several targets; the first where nothing is wrong with it is taken. */
async function named(targets: readonly Target[], id: string, trust: Trust): Promise<Source> {
  const { found, silent } = await askAll(targets, async (target) => {
    const entry = readHolding(await target.find(id), trust);
    return [{ target, entry }];
  });
  const best = found.find(({ entry }) => entry.faults.length === 0) ?? found[0];
  if (best) return ofTarget(best.target, best.entry, trust);
  if (silent.length > 0) throw nothingAnswers(silent);
  throw new Failure('not_found', `There is no backup ${id} on ${listOf(targets)}.`, {
    hint: '`authserver backup list` shows what there is.',
  });
}

async function newest(targets: readonly Target[], request: SourceRequest): Promise<Source> {
  const { trust, deploymentId, until = Number.POSITIVE_INFINITY, unverified } = request;
  const { found, silent } = await askAll(targets, async (target) => {
    const entries: { target: Target; entry: CatalogEntry }[] = [];
    for await (const holding of target.list()) entries.push({ target, entry: readHolding(holding, trust) });
    return entries;
  });
  const believed = found.flatMap(({ entry: { record, faults } }) =>
    record !== undefined && faults.length === 0 ? [record] : [],
  );
  const ours = believed.filter(
    ({ deployment_id }) => deploymentId === undefined || deployment_id === deploymentId,
  );
  const inTime = new Set(ours.filter(({ recovery_point }) => recovery_point.to <= until));
  const whole = found.filter(({ entry: { record } }) => record !== undefined && inTime.has(record));
  const usable = whole.filter(({ entry }) => unverified || entry.verification?.passed === true);
  const sequence = ({ entry }: { entry: CatalogEntry }) => entry.record?.sequence ?? 0;
  const last = usable.reduce<(typeof usable)[number] | undefined>(
    (best, one) => (best === undefined || sequence(one) > sequence(best) ? one : best),
    undefined,
  );
  if (last) return { ...ofTarget(last.target, last.entry, trust), doubts: silent.map(silenceOf) };
  if (found.length === 0 && silent.length > 0) throw nothingAnswers(silent);
  throw nothingUsable(targets, request, {
    ...{ found: found.length, believed, ours, whole: whole.length },
    doubts: doubtsOf(found),
  });
}

function doubtsOf(found: readonly { readonly entry: CatalogEntry }[]): string | undefined {
  return found.flatMap(({ entry }) => entry.faults.map((fault) => `${entry.id}: ${fault}`)).at(-1);
}

/** What was found, from all that is there to what could be taken, had it been proven. */
interface Sieved {
  readonly found: number;
  readonly believed: readonly BackupRecord[];
  readonly ours: readonly BackupRecord[];
  readonly whole: number;
  readonly doubts: string | undefined;
}

function nothingUsable(
  targets: readonly Target[],
  { until, deploymentId }: SourceRequest,
  { found, believed, ours, whole, doubts }: Sieved,
): Failure {
  const where = listOf(targets);
  if (found === 0) {
    return new Failure('not_found', `There is no backup on ${where}.`, {
      hint: 'See that backup.targets names the place where the backups are, and that its volume is mounted. An archive that lies elsewhere is named by its path: `authserver restore FILE`.',
    });
  }
  if (believed.length === 0) {
    return new Failure('not_found', `None of the backups on ${where} can be used (${found}).`, {
      ...(doubts !== undefined && { detail: doubts }),
      hint: 'A signature counts when its key is trusted: give the recovery sheet (`--recovery-key FILE`), or name the signing key that stands on it (`--trust KEY`). `authserver backup list` says what is wrong with each.',
    });
  }
  if (ours.length === 0) {
    const others = [...new Set(believed.map((record) => record.deployment_id))];
    return new Failure(
      'refused',
      `The backups on ${where} are of deployment ${others.join(', ')}, not of ${deploymentId}.`,
      {
        hint: `See that backup.targets and state_dir are those of the same server. If that is the one you mean: --accept-deployment ${others.at(-1)}.`,
      },
    );
  }
  if (whole === 0) {
    const shown = (time: number) => new Date(time).toISOString();
    const oldest = Math.min(...ours.map(({ recovery_point }) => recovery_point.to));
    return new Failure(
      'not_found',
      `No backup on ${where} is as old as ${shown(until ?? oldest)}: the oldest is of ${shown(oldest)}.`,
      {
        hint: 'Name a later moment: `authserver backup list` shows the window. An archive that lies elsewhere is named by its path instead of --latest.',
      },
    );
  }
  return new Failure('refused', `None of the ${whole} backups on ${where} was ever proven by restoring it.`, {
    hint: 'Prove the newest: `authserver backup verify --latest`. Or take one as it is: say --unverified; what it holds is compared with its manifest all the same.',
  });
}

/** An archive that somebody has copied; what lies beside it as on a target is read too. */
async function fileSource(
  files: Files,
  name: string,
  { trust: given, distrusted, deploymentId }: SourceRequest,
): Promise<Source> {
  const file = path.resolve(name);
  if (!(await files.exists(file))) {
    throw new Failure('not_found', `There is neither a backup nor a file called ${name}.`, {
      hint: 'Give the id of a backup (`authserver backup list` shows them), or the path of an archive (.tar.zst.age).',
    });
  }
  if (await files.isFolder(file)) {
    throw new Failure('invalid_input', `"${name}" is a folder, not an archive.`, {
      hint: 'Give the path of an archive in it (.tar.zst.age). To look for the newest, make it a target: AUTHSERVER_BACKUP_TARGETS=there=/folder.',
    });
  }
  const folder = new Folder({ folder: path.dirname(file), random: systemRandom });
  const [id = ''] = path.basename(file).split('.');
  const target = makeTarget('file', folder);
  // A folder that cannot be looked through leads to nobody.
  const trust = await trustFrom(folder, given, { deploymentId, distrusted }).catch(() => given);
  const holding = isBackupId(id) ? await target.find(id).catch(() => undefined) : undefined;
  const isIt = holding?.archive?.name === path.basename(file);
  return {
    entry: holding && isIt ? readHolding(holding, trust) : undefined,
    place: file,
    size: await files.size(file),
    beside: folder,
    trust,
    doubts: [],
    open: (signal) => folder.read(path.basename(file), signal),
  };
}

function ofTarget(target: Target, entry: CatalogEntry, trust: Trust): Source {
  const { place } = target.describe();
  return {
    entry,
    place: `${target.name} (${place})`,
    size: entry.holding.archive?.size ?? 0,
    trust,
    doubts: [],
    open: (signal) => target.open(entry.holding, signal),
  };
}

interface Asked<T> {
  readonly found: readonly T[];
  readonly silent: readonly { readonly target: Target; readonly error: unknown }[];
}

/** One target that is away does not keep another from being used. */
async function askAll<T>(
  targets: readonly Target[],
  ask: (target: Target) => Promise<readonly T[]>,
): Promise<Asked<T>> {
  const answers = await Promise.allSettled(targets.map(ask));
  const found: T[] = [];
  const silent: { target: Target; error: unknown }[] = [];
  for (const [index, answer] of answers.entries()) {
    const target = targets[index];
    if (answer.status === 'fulfilled') found.push(...answer.value);
    else if (target && asFailure(answer.reason).code !== 'not_found')
      silent.push({ target, error: answer.reason });
  }
  return { found, silent };
}

function silenceOf({ target, error }: Asked<unknown>['silent'][number]): string {
  return `The backup target ${target.name} could not be read (${asFailure(error).message}): it may have a newer backup than this one.`;
}

function nothingAnswers(silent: Asked<unknown>['silent']): Failure {
  const [first] = silent;
  const failure = asFailure(first?.error);
  return new Failure(
    failure.code,
    `The backup target ${first?.target.name} cannot be used: ${failure.message}`,
    {
      ...(failure.detail !== undefined && { detail: failure.detail }),
      hint: failure.hint ?? 'Mend that, name another target with --target, or give the path of an archive.',
      cause: failure,
    },
  );
}

function listOf(targets: readonly Target[]): string {
  return targets.map((target) => `${target.name} (${target.describe().place})`).join(', ');
}
