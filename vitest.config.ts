import { availableParallelism } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';

// Where bin/authserver keeps compiled code: the threads of the server, which the tests start too, find it there.
process.env['NODE_COMPILE_CACHE'] ??= path.join(import.meta.dirname, 'node_modules', '.cache', 'authserver');

export default defineConfig({
  test: {
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
