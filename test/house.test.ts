import path from 'node:path';
import { expect, it } from 'vitest';
import { checkImports, formatBreaches, readSources } from '../tools/check-imports.ts';

it('the house keeps its floors: imports go down, no cycles, no rooms without an owner', () => {
  const sources = readSources(path.dirname(import.meta.dirname));
  expect(sources.length).toBeGreaterThan(10);
  expect(formatBreaches(checkImports(sources))).toEqual([]);
});
