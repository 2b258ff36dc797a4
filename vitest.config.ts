import { availableParallelism } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// Where bin/authserver keeps compiled code: the threads of the server, which the tests start too, find it there.
process.env['NODE_COMPILE_CACHE'] ??= path.join(import.meta.dirname, 'node_modules', '.cache', 'authserver');

/** Where a file takes most of a minute, however short it is. */
const LONG = /\/test\/(bad-input|docs|faults|keys|ops|seeds)\/|\/conformance\//;

/** What takes long begins first, so that nothing is left to wait for at the end while most workers have nothing to do. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    include: ['{src,test,tools}/**/*.test.ts'],
    globalSetup: 'test/setup/postgres.ts',
    // Loading the server once a worker instead of once a file is what keeps the run short; the price is that a test
    // file must leave no state behind in a module, which is a rule for the server's own code anyway.
    pool: 'threads',
    isolate: false,
    // Twice the cores: most product tests wait for processes of their own to start, to die and to write to disk.
    maxWorkers: 2 * availableParallelism(),
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
