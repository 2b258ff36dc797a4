// Runs the tests; `npm test` comes here. Arguments are those of `vitest run`: file filters, `-t NAME`, `--bail 1` ... but for
// `--reporter`, because the last line of what is printed is ours.

import path from 'node:path';
import { parseCLI, startVitest } from 'vitest/node';
import { exitCodeOf, formatOutcome, TestReport } from './test-report.ts';

const {
  filter,
  options: { reporter: _, ...options },
} = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
const report = new TestReport();
await startVitest(filter, {
  root: path.dirname(import.meta.dirname),
  ...options,
  watch: false,
  allowOnly: false,
  reporters: ['default', report],
});

// Written to the end and followed by the exit, so that nothing that still runs can add a line.
await new Promise((resolve) => process.stdout.write(`${formatOutcome(report.outcome)}\n`, resolve));
process.exit(process.exitCode || exitCodeOf(report.outcome));
