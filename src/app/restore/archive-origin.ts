/** An archive as the origin of a restore: its rows, taken on by the recovery log, and its keys. */
import type { FormatRecord } from '../../archive/manifest.ts';
import { openArchive, type ReadOptions } from '../../archive/reader.ts';
import type { LogReading } from '../../ops/recovery/log-reader.ts';
import type { LogFacts, SessionFate } from '../../ops/restore/plan.ts';
import type { Config } from '../config.ts';
import type { StorageChoice } from '../open-store.ts';
import { stageFromRows } from '../restore-rows.ts';
import { openScratch, scratchParent } from '../scratch.ts';
import { unpackInto } from '../unpack.ts';
import { compareRows } from './compare.ts';
import { replayInto, revocationsIn } from './log.ts';
import type { WorldParts } from './prepared.ts';
import type { Present } from './present.ts';
import type { Filled, Origin, Reached } from './restoration.ts';
import type { Source } from './source.ts';

/** The backup that was found, opened far enough to know what it is. */
export interface Picked {
  readonly source: Source;
  readonly format: FormatRecord;
  readonly known: readonly { readonly id: string; readonly from: string }[];
  readonly reading: ReadOptions;
  readonly logReading: LogReading;
}

/** What is known of the two ends. */
export interface Pictured {
  readonly storage: StorageChoice;
  readonly present: Present;
  readonly picked: Picked;
}

/** Everything that was committed until then is in the backup, ms. */
export function knownFrom({ source, format }: Pick<Picked, 'source' | 'format'>): number {
  return source.entry?.record?.recovery_point.from ?? format.made_at;
}

export function archiveOrigin(
  config: Config,
  request: { readonly to: number | undefined; readonly sessions: SessionFate },
  { storage, present, picked, log }: Pictured & { readonly log: LogFacts | undefined },
  { clock, random }: WorldParts,
): Origin {
  const { source, reading, format, logReading } = picked;
  const until = { to: request.to, isWhole: request.sessions === 'keep' };
  const unpack = async (into: StorageChoice, signal: AbortSignal): Promise<Filled> => {
    const whole = { ...reading, id: format.id, deploymentId: format.deployment_id, signal };
    await using archive = await openArchive(source.open(signal), whole);
    const { totals, keys } = await unpackInto(into, archive, { clock, random, signal });
    return { totals, keys };
  };
  const replay = (into: StorageChoice, signal: AbortSignal) =>
    replayInto(into, { ...logReading, signal }, until);
  const revocations = async (signal: AbortSignal) => {
    const logged = await revocationsIn(config, { ...logReading, signal }, knownFrom(picked));
    return { rows: [...logged.rows, ...present.revocations], notes: logged.notes };
  };
  const origin = { verb: 'restore', from: format.id, revocations } as const;
  if (!log) return { ...origin, fill: unpack };
  if (storage.driver === 'sqlite') return { ...origin, fill: unpack, replay };
  // The log holds changes of an SQLite database: they are made to one, whose rows then go over to the other engine.
  let reached: Reached | undefined;
  return {
    ...origin,
    async fill(staged, signal) {
      const aside = { driver: 'sqlite', sqlite: { path: config.state_dir, wal: false } } as const;
      await using scratch = await openScratch(aside, scratchParent(config));
      const { totals: unpacked, keys } = await unpack(scratch.storage, signal);
      await compareRows(scratch.storage, unpacked, { clock, signal });
      reached = await replay(scratch.storage, signal);
      const { totals } = await stageFromRows(scratch.storage, staged, { clock, random, signal });
      return { totals, keys };
    },
    replay: async () => reached ?? { reached: undefined, notes: [] },
  };
}
