import type { Counter, Histogram, Labels, Meter } from '../../kernel/metrics.ts';
import { type MetricDescription, metricTable } from './table.ts';

/** One series as it is now. */
export type Point = {
  readonly labels: Labels;
} & (
  | { readonly value: number }
  /** Counts of the steps, the one beyond the last step included; none adds up the ones before it. */
  | { readonly counts: readonly number[]; readonly sum: number }
);

/** One metric as it is now. */
export interface Family {
  readonly name: string;
  readonly description: MetricDescription;
  readonly points: readonly Point[];
}

interface Series {
  readonly labels: Labels;
  point(): Point;
}

/** Every number that this process tells, held to the table of metrics. Hot paths keep a series and add to it. */
export class Registry implements Meter {
  readonly #families = new Map<string, Map<string, Series>>();
  readonly #monotonic: () => number;

  /** @param monotonic ms */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
    for (const [name, description] of Object.entries(metricTable)) {
      this.#families.set(name, new Map());
      // What only one engine has comes when a store of that engine asks for it.
      if (description.type === 'gauge' || description.engine) continue;
      for (const labels of knownCombinations(description.labels)) this.#series(name, labels);
    }
  }

  now(): number {
    return this.#monotonic();
  }

  counter(name: string, labels: Labels = {}): Counter {
    return this.#series(name, labels, 'counter') as CountedSeries;
  }

  histogram(name: string, labels: Labels = {}): Histogram {
    return this.#series(name, labels, 'histogram') as SpreadSeries;
  }

  gauge(name: string, read: () => number, labels: Labels = {}): void {
    const series = { labels, point: () => ({ labels, value: read() }) };
    const { type } = describe(name, labels);
    if (type === 'histogram') throw new TypeError(`the metric ${name} cannot be read as one value`);
    this.#of(name).set(keyOf(labels), series);
  }

  /** Sets all series of a gauge at once; those that are not named are gone. */
  replace(name: string, values: readonly { readonly labels: Labels; readonly value: number }[]): void {
    this.#of(name).clear();
    for (const { labels, value } of values) this.gauge(name, () => value, labels);
  }

  /** Every metric that has a series, in the order of the table. */
  read(): readonly Family[] {
    return Object.entries(metricTable).flatMap(([name, description]) => {
      const points = [...this.#of(name).values()].map((series) => series.point());
      return points.length === 0 ? [] : [{ name, description, points }];
    });
  }

  #series(name: string, labels: Labels, wanted?: MetricDescription['type']): Series {
    const family = this.#of(name);
    const key = keyOf(labels);
    const known = family.get(key);
    if (known) return known;
    const { type, buckets = [] } = describe(name, labels);
    if (wanted !== undefined && wanted !== type) throw new TypeError(`the metric ${name} is no ${wanted}`);
    const series = type === 'histogram' ? new SpreadSeries(labels, buckets) : new CountedSeries(labels);
    family.set(key, series);
    return series;
  }

  #of(name: string): Map<string, Series> {
    const family = this.#families.get(name);
    if (!family) throw new TypeError(`the table of metrics has no ${name}`);
    return family;
  }
}

class CountedSeries implements Series, Counter {
  readonly labels: Labels;
  #value = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  add(amount = 1): void {
    this.#value += amount;
  }

  point(): Point {
    return { labels: this.labels, value: this.#value };
  }
}

class SpreadSeries implements Series, Histogram {
  readonly labels: Labels;
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let step = 0;
    while (step < bounds.length && value > (bounds[step] as number)) step += 1;
    this.#counts[step] = (this.#counts[step] as number) + 1;
    this.#sum += value;
  }

  point(): Point {
    return { labels: this.labels, counts: [...this.#counts], sum: this.#sum };
  }
}

/** The metric's description. Throws where labels are not those of the table: that is a bug, found by the first test. */
function describe(name: string, labels: Labels): MetricDescription {
  const description = metricTable[name];
  const names = Object.keys(description?.labels ?? {});
  const fits =
    names.length === Object.keys(labels).length &&
    names.every((label) => {
      const values = description?.labels[label];
      return label in labels && (values === 'few' || values?.includes(labels[label] as string));
    });
  if (description && fits) return description;
  throw new TypeError(`the table of metrics has no ${name} with ${JSON.stringify(labels)}`);
}

function keyOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('\n');
}

/** Every combination of label values where all of them are known; none otherwise. */
function knownCombinations(labels: MetricDescription['labels']): readonly Labels[] {
  let combinations: readonly Labels[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (values === 'few') return [];
    combinations = combinations.flatMap((former) => values.map((value) => ({ ...former, [label]: value })));
  }
  return combinations;
}
