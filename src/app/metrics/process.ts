import type { Meter } from '../../kernel/metrics.ts';

/** How often, ms, the event loop is looked at. */
const LOOK_EVERY = 100;

/** What the process costs the machine. The returned function ends the look at the event loop. */
export function measureProcess(
  meter: Meter,
  facts: { readonly version: string; readonly storage: string },
): () => void {
  meter.gauge('authserver_build_info', () => 1, { ...facts, node: process.versions.node });
  meter.gauge('authserver_uptime_seconds', () => process.uptime());
  meter.gauge('authserver_process_cpu_seconds_total', cpuSeconds);
  meter.gauge('authserver_process_resident_memory_bytes', () => process.memoryUsage.rss());
  meter.gauge('authserver_process_heap_used_bytes', () => process.memoryUsage().heapUsed);
  return watchEventLoop(meter);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function watchEventLoop(meter: Meter): () => void {
  const delay = meter.histogram('authserver_event_loop_delay_seconds');
  let due = meter.now() + LOOK_EVERY;
  const timer = setInterval(() => {
    const now = meter.now();
    delay.observe(Math.max(0, now - due) / 1000);
    due = now + LOOK_EVERY;
  }, LOOK_EVERY).unref();
  return () => clearInterval(timer);
}
