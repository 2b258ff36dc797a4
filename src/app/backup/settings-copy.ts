/** The effective settings as they go into an archive. */
import { hash } from 'node:crypto';
import { keys } from '../config/keys.ts';
import type { Config } from '../config.ts';

/**
 * By the path of the key, such as `server.issuer`, as an operator would write them; what has no value is left out. Of a
 * secret only a fingerprint goes: enough to see whether the one at hand is the same.
 */
export function settingsForArchive(config: Config): Readonly<Record<string, unknown>> {
  const copied: Record<string, unknown> = {};
  for (const { path, key } of keys) {
    const value = path
      .split('.')
      .reduce<unknown>((node, name) => (node as Record<string, unknown>)[name], config);
    if (value === undefined) continue;
    const written = key.format(value);
    copied[path] = key.secret ? { fingerprint: fingerprint(written) } : written;
  }
  return copied;
}

function fingerprint(secret: unknown): string {
  return hash('sha256', typeof secret === 'string' ? secret : JSON.stringify(secret), 'hex').slice(0, 12);
}
