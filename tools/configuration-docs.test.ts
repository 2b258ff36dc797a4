import { expect, test } from 'vitest';
import { isCurrent } from './configuration-docs.ts';

test('docs/configuration.md is what tools/configuration-docs.ts writes', async () => {
  expect(await isCurrent()).toBe(true);
});
