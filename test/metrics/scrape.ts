// Owns the text format of Prometheus as tests read it: an own small parser, so that what the product writes is read by
// somebody else's rules.

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Scrape {
  readonly samples: readonly Sample[];
  readonly types: ReadonlyMap<string, string>;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/gy;

/** Throws on the first line that is not of the format. */
export function parseScrape(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const [, about, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
    if (about !== undefined && type !== undefined) {
      if (types.has(about)) throw new Error(`${about} is there twice`);
      types.set(about, type);
    } else if (!/^# HELP \S+ \S/.test(line)) samples.push(parseSample(line));
  }
  return { samples, types };
}

function parseSample(line: string): Sample {
  const [, name, inside = '', number] = SAMPLE.exec(line) ?? [];
  if (name === undefined || number === undefined) throw new Error(`not a sample: ${line}`);
  const pairs = [...inside.matchAll(LABEL)];
  if (pairs.map(([whole]) => whole).join('') !== inside) throw new Error(`labels: ${line}`);
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  return { name, labels: Object.fromEntries(pairs.map(([, label, text]) => [label, text])), value };
}

/** The sum of the samples of this name that have these labels; undefined where there is none. */
export function total(
  { samples }: Scrape,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const fitting = samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return fitting.length === 0 ? undefined : fitting.reduce((sum, { value }) => sum + value, 0);
}
