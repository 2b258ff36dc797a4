/** Whoever waits for work that takes its time. */
export interface Watch<Progress> {
  /** Told how far the work is; cheap to call often. */
  progress(now: Progress): void;
  /** Aborted when the work should stop after the step in hand. */
  readonly signal: AbortSignal;
}
