import { setImmediate as othersTurn } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import { Findings } from '../../ops/verify/proof.ts';
import type { Config } from '../config.ts';
import type { Scratch } from '../scratch.ts';

export interface ProofParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Told of each step as it begins: `restoring into a scratch database`. */
  readonly progress?: (step: string) => void;
}

/** What the steps of a proof work with. */
export interface ProofBench {
  readonly config: Config;
  readonly scratch: Scratch;
  readonly findings: Findings;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Tells of a step, and throws `interrupted` where nobody wants it any more. */
  begin(step: string): void;
  /** Lets others have their turn; throws as `begin` does. */
  pause(): Promise<void>;
}

export function makeBench(config: Config, scratch: Scratch, parts: ProofParts): ProofBench {
  const { clock, random, log, signal = new AbortController().signal, progress } = parts;
  return {
    config,
    scratch,
    findings: new Findings(),
    clock,
    random,
    log: muffled(log),
    signal,
    begin(step) {
      heed(signal);
      progress?.(step);
    },
    async pause() {
      await othersTurn();
      heed(signal);
    },
  };
}

/** Failures: `interrupted` once nobody wants it any more. */
export function heed(signal: AbortSignal): void {
  if (signal.aborted) throw cancelled(signal.reason);
}

export function cancelled(cause?: unknown): Failure {
  return new Failure('interrupted', 'The verification was cancelled before its end.', {
    cause,
    hint: 'Nothing was changed. Run it again.',
  });
}

/** What a trial goes through is no news of the live server; its errors are told beside the findings. */
function muffled(log: Log): Log {
  const quiet: Log['debug'] = (fields, message) => log.debug({ ...fields, trial: true }, message);
  return {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (fields, message) => log.warn({ ...fields, trial: true }, `in the trial of a backup: ${message}`),
  };
}
