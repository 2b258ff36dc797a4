import { asFailure } from '../../kernel/errors.ts';
import type { ShipperParts } from './shipping.ts';

/** How long what fails is left alone at most, ms. */
const LONGEST_PAUSE = 30_000;

/** Does something with a shelf again and again: trouble is told once, and then it is tried ever less often. */
export class Tries {
  readonly #target: string;
  readonly #parts: Pick<ShipperParts, 'log' | 'pace'>;
  readonly #complaint: string;
  #failures = 0;
  /** What is wrong since the last time that it went well. */
  problem: string | undefined;

  /** @param complaint what the log says when it fails */
  constructor(target: string, parts: Pick<ShipperParts, 'log' | 'pace'>, complaint: string) {
    this.#target = target;
    this.#parts = parts;
    this.#complaint = complaint;
  }

  /** Answers how long to pause, ms. @param rest after it went well */
  async attempt(work: () => Promise<void>, rest: number, signal: AbortSignal): Promise<number> {
    const { log, pace } = this.#parts;
    try {
      await work();
      if (this.#failures > 0)
        log.info({ target: this.#target }, 'the recovery log is well on the target again');
      this.#failures = 0;
      this.problem = undefined;
      return rest;
    } catch (error) {
      if (signal.aborted) return 0;
      const { message, detail = message, hint } = asFailure(error);
      if (this.problem !== message) log.error({ target: this.#target, detail, hint }, this.#complaint);
      this.problem = message;
      this.#failures += 1;
      return Math.min(pace.interval * 2 ** Math.min(this.#failures, 10), LONGEST_PAUSE);
    }
  }
}
