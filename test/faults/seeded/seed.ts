// Puts a bug into source files while they are loaded. What it looks for must be there, exactly once: a bug that no longer fits
// the source proves nothing, and has to say so.

import { registerHooks } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = path.join(import.meta.dirname, '..', '..', '..');

export interface Change {
  /** From the root of the project. */
  readonly file: string;
  readonly snippet: string;
  readonly instead: string;
}

export class SeedDoesNotFit extends Error {}

/** The source with the bug in it. @throws SeedDoesNotFit */
export function seeded(source: string, { file, snippet, instead }: Change): string {
  const [before, after, ...more] = source.split(snippet);
  if (before === undefined || after === undefined || more.length > 0) {
    const times = after === undefined ? 'not' : `${more.length + 1} times`;
    throw new SeedDoesNotFit(`the snippet is ${times} in ${file}: ${snippet}`);
  }
  return before + instead + after;
}

/** From now on this thread loads these files with the changes. `missed` are the files that nobody has loaded. */
export function seed(changes: readonly Change[]): { missed(): readonly string[] } {
  const urls = new Map(changes.map(({ file }) => [pathToFileURL(path.join(ROOT, file)).href, file] as const));
  const missed = new Set(urls.values());
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const file = urls.get(url);
      if (file === undefined) return loaded;
      missed.delete(file);
      const own = changes.filter((change) => change.file === file);
      return { ...loaded, source: own.reduce(seeded, String(loaded.source)) };
    },
  });
  return { missed: () => [...missed] };
}
