import { stringify } from 'yaml';
import type { LoadedConfig } from '../config.ts';
import { formatOrigin } from './fault.ts';
import { keys, sections } from './keys.ts';

/** A setting in effect. */
export interface DescribedKey {
  readonly path: string;
  /** As an operator would write it; null where there is none, and for every secret. */
  readonly value: unknown;
  readonly origin: string;
  /** It has a value that is not shown. */
  readonly secret: boolean;
}

/** Every key with its value and origin, secrets left out. */
export function describeConfig({ config, origins }: LoadedConfig): readonly DescribedKey[] {
  return keys.map(({ path, key }) => {
    const value = valueAt(config, path);
    const secret = key.secret && value !== undefined;
    const shown = secret || value === undefined ? null : key.format(value);
    return { path, value: shown, origin: formatOrigin(origins.get(path) ?? { from: 'default' }), secret };
  });
}

/** A configuration file with the same effect; the origins are comments, and so is what has no value to show. */
export function writeYaml(described: readonly DescribedKey[]): string {
  const lines: string[] = [];
  for (const { path } of sections) {
    const depth = path === '' ? 0 : path.split('.').length;
    const pad = '  '.repeat(depth);
    if (path !== '') lines.push(...(depth === 1 ? [''] : []), `${pad.slice(2)}${lastName(path)}:`);
    for (const key of described.filter((candidate) => sectionOf(candidate.path) === path)) {
      lines.push(pad + writeLine(key));
    }
  }
  return lines.join('\n');
}

function writeLine({ path, value, origin, secret }: DescribedKey): string {
  const name = lastName(path);
  if (secret) return `# ${name}: (set, from ${origin})`;
  if (value === null) return `# ${name}: (not set)`;
  return `${name}: ${stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()}  # ${origin}`;
}

function valueAt(config: unknown, path: string): unknown {
  return path.split('.').reduce((node, name) => (node as Record<string, unknown>)[name], config);
}

function sectionOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')));
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
