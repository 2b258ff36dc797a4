import { expect, test } from 'vitest';
import { isCurrent } from './metrics-docs.ts';

test('docs/metrics.md is what tools/metrics-docs.ts writes', async () => {
  expect(await isCurrent()).toBe(true);
});
