import { beforeEach, describe } from 'vitest';
import { describeKeys } from '../store/conformance/keys.ts';
import { MemoryKeyRows } from './memory-store.test-kit.ts';

describe('keys in memory promise what the store does', () => {
  let keys: MemoryKeyRows;
  beforeEach(() => {
    keys = new MemoryKeyRows();
  });
  describeKeys(() => keys);
});
