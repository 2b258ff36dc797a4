import { hostname } from 'node:os';
import { ValueType } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { Family, Point } from './registry.ts';

export interface PushOptions {
  /** The collector; metrics go to `/v1/metrics` below it. */
  readonly endpoint: string;
  /** Each `name=value`, the value percent-encoded. */
  readonly headers: readonly string[];
  /** ms */
  readonly interval: number;
  /** ms, all tries of one push included. */
  readonly timeout: number;
  /** How long, ms, the last push may hold up the end of the process. */
  readonly patience: number;
  /** Tells this process from the others of its service. */
  readonly instance: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

type Read = () => Promise<readonly Family[]>;

const UNITS = { seconds: 's', bytes: 'By', none: '1' } as const;

/** Pushes metrics by OTLP over HTTP (protobuf), again and again until it is closed; then once more. */
export function startPush(read: Read, options: PushOptions): { close(): Promise<void> } {
  const pusher = new Pusher(read, options);
  const timer = setInterval(() => void pusher.push(), options.interval).unref();
  return {
    close() {
      clearInterval(timer);
      return pusher.finish();
    },
  };
}

class Pusher {
  readonly #read: Read;
  readonly #options: PushOptions;
  readonly #exporter: OTLPMetricExporter;
  readonly #resource: ResourceMetrics['resource'];
  readonly #startedAt: number;
  #underway: Promise<void> | undefined;
  #failing = false;

  constructor(read: Read, options: PushOptions) {
    const { endpoint, headers, timeout, clock, instance, version } = options;
    this.#read = read;
    this.#options = options;
    this.#startedAt = clock.now();
    this.#exporter = new OTLPMetricExporter({
      url: `${endpoint.replace(/\/+$/, '')}/v1/metrics`,
      headers: Object.fromEntries(headers.map(readHeader)),
      timeoutMillis: timeout,
    });
    this.#resource = resourceFromAttributes({
      'service.name': 'authserver',
      'service.version': version,
      'service.instance.id': instance,
      'host.name': hostname(),
    });
  }

  /** Never rejects: trouble is logged when it begins. A push that finds another under way leaves it at that. */
  push(): Promise<void> {
    this.#underway ??= this.#pushNow().finally(() => {
      this.#underway = undefined;
    });
    return this.#underway;
  }

  /** A last push, after the one under way: what was counted at the very end must be in it. */
  async finish(): Promise<void> {
    const last = async () => {
      await this.#underway;
      await this.push();
      await this.#exporter.shutdown();
    };
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => late.resolve(), this.#options.patience);
    await Promise.race([last(), late.promise]);
    clearTimeout(timer);
  }

  async #pushNow(): Promise<void> {
    const { log, endpoint } = this.#options;
    try {
      await this.#export(await this.#read());
      if (this.#failing) log.info({ endpoint }, 'metrics are pushed again');
      this.#failing = false;
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      if (!this.#failing) log.warn({ endpoint, detail }, 'metrics could not be pushed');
      this.#failing = true;
    }
  }

  #export(families: readonly Family[]): Promise<void> {
    const { clock, version } = this.#options;
    const span = { startTime: hrTime(this.#startedAt), endTime: hrTime(clock.now()) };
    const metrics = families.map((family) => metricData(family, span));
    const scope = { name: 'authserver', version };
    return new Promise((resolve, reject) => {
      this.#exporter.export({ resource: this.#resource, scopeMetrics: [{ scope, metrics }] }, (result) => {
        if (result.code === 0) resolve();
        else reject(result.error ?? new Error('the collector did not take them'));
      });
    });
  }
}

/** Seconds and nanoseconds, as OpenTelemetry writes time. */
type HrTime = [number, number];
type Span = { readonly startTime: HrTime; readonly endTime: HrTime };

function hrTime(ms: number): HrTime {
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
}

/** Names stay those of Prometheus, so that alerts and dashboards hold whichever way the numbers come. */
function metricData({ name, description, points }: Family, span: Span): MetricData {
  const base = {
    descriptor: {
      name,
      description: description.help,
      unit: UNITS[description.unit],
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const values = () =>
    points.map((point) => ({ ...span, attributes: point.labels, value: 'value' in point ? point.value : 0 }));
  if (description.type === 'gauge')
    return { ...base, dataPointType: DataPointType.GAUGE, dataPoints: values() };
  if (description.type === 'counter')
    return { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: values() };
  const boundaries = [...(description.buckets ?? [])];
  return {
    ...base,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: points.map((point) => ({
      ...span,
      attributes: point.labels,
      value: histogramValue(point, boundaries),
    })),
  };
}

function histogramValue(point: Point, boundaries: number[]) {
  const counts = 'counts' in point ? [...point.counts] : [];
  const count = counts.reduce((total, each) => total + each, 0);
  return { buckets: { boundaries, counts }, sum: 'sum' in point ? point.sum : 0, count };
}

function readHeader(text: string): [string, string] {
  const equals = text.indexOf('=');
  return [text.slice(0, equals).trim(), decodeURIComponent(text.slice(equals + 1).trim())];
}
