/** What an archive says of the server that it was made by: config.json. */
import { z } from 'zod';
import type { Findings } from './proof.ts';

const shape = z.looseObject({
  /** By the path of the key. */
  settings: z.looseObject({ 'server.issuer': z.string().optional() }).optional(),
  /** A token signed by the active key when the backup was made. */
  canary: z.string().nullable().optional(),
});

export interface ArchivedConfig {
  readonly issuer: string | undefined;
  readonly canary: string | undefined;
}

/** Never throws: what cannot be read is a finding. */
export function readArchivedConfig(text: string, findings: Findings): ArchivedConfig {
  const read = shape.safeParse(parse(text));
  if (!read.success) {
    findings.add('config.json of the archive cannot be read.');
    return { issuer: undefined, canary: undefined };
  }
  return { issuer: read.data.settings?.['server.issuer'], canary: read.data.canary ?? undefined };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
