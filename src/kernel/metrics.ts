export type Labels = Readonly<Record<string, string>>;

/** A number that only grows. */
export interface Counter {
  /** @param amount 1 where not given */
  add(amount?: number): void;
}

/** How values are spread, counted in fixed steps. */
export interface Histogram {
  /** In the base unit of the metric: seconds, bytes. */
  observe(value: number): void;
}

/**
 * What rooms need to be seen from outside; app/ makes the real one. Names and labels are those of its table of metrics. Ask for
 * a series once and keep it: then counting is an addition. Labels name what there are few of, never a client or a user.
 */
export interface Meter {
  /** ms, to take differences of. */
  now(): number;
  counter(name: string, labels?: Labels): Counter;
  histogram(name: string, labels?: Labels): Histogram;
  /** A value that is looked up when somebody asks for it. */
  gauge(name: string, read: () => number, labels?: Labels): void;
}

const nothing = { add() {}, observe() {} };

export const silentMeter: Meter = {
  now: () => 0,
  counter: () => nothing,
  histogram: () => nothing,
  gauge() {},
};
