/**
 * What the server tells about itself in numbers: one registry that rooms count in, the sources that are asked when somebody
 * looks, and the two ways out, a scrape and a push. It must not know what a number means to anybody.
 */
import { hostname } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import { type Meter, silentMeter } from '../../kernel/metrics.ts';
import type { Config } from '../config.ts';
import { programVersion } from '../version.ts';
import type { PushOptions } from './otlp.ts';
import { measureProcess } from './process.ts';
import { type Family, Registry } from './registry.ts';
import { type Source, Sources } from './sources.ts';

export interface Metrics {
  /** What rooms count with. */
  readonly meter: Meter;
  /** Adds a source; `make` is not called where nobody is told anything. */
  add(make: (registry: Registry) => Source): void;
  /** Every metric as it is now. */
  read(): Promise<readonly Family[]>;
  /** Pushes what there is a last time, where anything is pushed, and stops. */
  close(): Promise<void>;
}

export interface MetricsParts {
  readonly clock: Clock;
  readonly log: Log;
}

/** A server that stops has others waiting for it, ms. */
const PATIENCE_OF_SERVER = 2000;

/** Metrics of a server as the settings want them; where there is a place to push to, it begins now. */
export function openMetrics(config: Config, parts: MetricsParts): Promise<Metrics> {
  const instance = `${hostname()}:${config.server.address.port}`;
  return open(config, parts, { instance, patience: PATIENCE_OF_SERVER });
}

/**
 * Metrics of a command that ends by itself: pushed where the settings say so, at the latest when they are closed. There is
 * nobody who could scrape them.
 */
export async function openCommandMetrics(config: Config, parts: MetricsParts): Promise<Metrics> {
  const { provider, otlp } = config.observability.metrics;
  if (provider === 'none' || provider === 'prometheus') return silentMetrics;
  const instance = `${hostname()}:process-${process.pid}`;
  return open(config, parts, { instance, patience: otlp.timeout });
}

async function open(
  config: Config,
  { clock, log }: MetricsParts,
  pusher: Pick<PushOptions, 'instance' | 'patience'>,
): Promise<Metrics> {
  const { provider, otlp } = config.observability.metrics;
  if (provider === 'none') return silentMetrics;
  const registry = new Registry(() => performance.now());
  const sources = new Sources({ clock, log });
  const known: Source[] = [];
  const unwatch = measureProcess(registry, { version: programVersion(), storage: config.storage.driver });
  const read = async () => {
    const states = await sources.ask(known);
    registry.replace(
      'authserver_metrics_source_up',
      states.map(({ name, up }) => ({ labels: { source: name }, value: up ? 1 : 0 })),
    );
    return registry.read();
  };
  // Loaded only where it is wanted: it costs memory and a tenth of a second.
  const push = provider === 'prometheus' ? undefined : await import('./otlp.ts');
  const pushing = push?.startPush(read, { ...otlp, ...pusher, version: programVersion(), clock, log });
  return {
    meter: registry,
    add: (make) => void known.push(make(registry)),
    read,
    async close() {
      unwatch();
      await pushing?.close();
    },
  };
}

/** Of a process that tells nobody anything. */
export const silentMetrics: Metrics = {
  meter: silentMeter,
  add() {},
  read: async () => [],
  async close() {},
};
