import type { Ground } from './ground.ts';
import type { Recorder } from './recorder.ts';

export const DRILL_NAMES = [
  'host-loss',
  'key-loss',
  'db-corruption',
  'bad-migration',
  'mass-delete',
  'clock-jump',
] as const;
export type DrillName = (typeof DRILL_NAMES)[number];

export interface Drill {
  readonly name: DrillName;
  /** What is rehearsed, in one sentence. */
  readonly summary: string;
  /** Why there is nothing to rehearse here; undefined where there is. */
  idle?(ground: Ground): string | undefined;
  /** @throws DrillEnded when a step has failed; Failure `interrupted` */
  run(bench: DrillBench): Promise<void>;
}

/** What a drill works with. */
export interface DrillBench {
  readonly ground: Ground;
  readonly recorder: Recorder;
  readonly limits: DrillLimits;
}

/** ms */
export interface DrillLimits {
  /** How soon a start says which key is missing. */
  readonly naming: number;
  /** How much of what had been acknowledged may be lost where there is a recovery log: `recovery.max_lag`. */
  readonly lag: number;
}
