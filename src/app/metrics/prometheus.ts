import type { Labels } from '../../kernel/metrics.ts';
import type { Family, Point } from './registry.ts';

/** The content type of the text format. */
export const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics in the text format of Prometheus, version 0.0.4. */
export function prometheusText(families: readonly Family[]): string {
  return families.map(formatFamily).join('');
}

function formatFamily({ name, description, points }: Family): string {
  const lines = points.flatMap((point) => formatPoint(name, point, description.buckets ?? []));
  const head = [`# HELP ${name} ${escapeHelp(description.help)}`, `# TYPE ${name} ${description.type}`];
  return `${[...head, ...lines].join('\n')}\n`;
}

function formatPoint(name: string, point: Point, bounds: readonly number[]): readonly string[] {
  if ('value' in point) return [`${name}${formatLabels(point.labels)} ${formatNumber(point.value)}`];
  let total = 0;
  const buckets = point.counts.map((count, step) => {
    total += count;
    const le = formatNumber(bounds[step] ?? Number.POSITIVE_INFINITY);
    return `${name}_bucket${formatLabels({ ...point.labels, le })} ${total}`;
  });
  const labels = formatLabels(point.labels);
  return [...buckets, `${name}_sum${labels} ${formatNumber(point.sum)}`, `${name}_count${labels} ${total}`];
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeValue(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function formatNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
