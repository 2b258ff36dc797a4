const FEWEST = 20;
const FIRST = 100;
/** A step that took little away tells nothing about one that takes all it looks at, which costs ten times as much a row. */
const MOST_OF_LITTLE = 500;
const MOST = 5000;
/** However busy the store is, a purge gets at least this share of the time, or a backlog would grow for ever. */
const LEAST_SHARE = 0.1;
/** While the log of the store is too long a purge goes on in small steps, which also give the store its turn to shorten it, ms. */
const CROWDED_PAUSE = 250;
/** How fast, a step, a wait that was short once stops being the measure of a store at rest. */
const FORGETTING = 1.02;

/** What a step was like; times in ms. */
export interface Took {
  /** Rows taken away. */
  readonly gone: number;
  /** What others had to wait for it. */
  readonly worked: number;
  /** From asking to the answer: behind others, at work, until it was on disk. */
  readonly elapsed: number;
  /** Whether the log of the store has grown beyond what it should hold. */
  readonly crowded: boolean;
}

/**
 * How much a step may look at, so that it holds others up for about `aim` ms, and how long to pause after it: as long as it
 * takes a store at rest to do it, longer the longer it had to wait behind others.
 */
export class Pace {
  readonly #aim: number;
  #rows = FIRST;
  /** The wait of a store at rest, ms. */
  #calm = Number.POSITIVE_INFINITY;

  constructor(aim: number) {
    this.#aim = aim;
  }

  /** How many rows the next step may look at. */
  get rows(): number {
    return Math.round(this.#rows);
  }

  /** Other rows come: what was learned about the last ones does not hold. */
  restart(): void {
    this.#rows = FIRST;
  }

  /** Learns from a step; answers how long to pause, ms. */
  after({ gone, worked, elapsed, crowded }: Took): number {
    const factor = Math.min(2, Math.max(0.5, this.#aim / Math.max(worked, 0.1)));
    const most = gone * 2 >= this.#rows ? MOST : MOST_OF_LITTLE;
    this.#rows = crowded ? FEWEST : Math.min(most, Math.max(FEWEST, this.#rows * factor));
    const wait = Math.max(elapsed - worked, 1);
    this.#calm = Math.min(wait, this.#calm * FORGETTING);
    const busy = wait / this.#calm;
    const pause = (worked + this.#calm) * Math.min(1 / LEAST_SHARE - 1, Math.max(1, busy));
    return crowded ? Math.max(CROWDED_PAUSE, pause) : pause;
  }
}
