// Runs the tests; `npm test` comes here. Arguments are those of `vitest run`: file filters, `-t NAME`, `--bail 1` ... but for
// `--reporter`, because the last line of what is printed is ours.

import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseCLI, startVitest } from 'vitest/node';
import { exitCodeOf, formatOutcome, TestReport } from './test-report.ts';

const {
  filter,
  options: { reporter: _, ...options },
} = parseCLI(['vitest', 'run', ...process.argv.slice(2)]);
// What the tests write is gone after them; in memory they need not wait for the disk.
const scratch = makeScratch();
process.env['TMPDIR'] = scratch;
const report = new TestReport();
await startVitest(filter, {
  root: path.dirname(import.meta.dirname),
  ...options,
  watch: false,
  allowOnly: false,
  reporters: ['default', report],
});

rmSync(scratch, { recursive: true, force: true });

// Written to the end and followed by the exit, so that nothing that still runs can add a line.
await new Promise((resolve) => process.stdout.write(`${formatOutcome(report.outcome)}\n`, resolve));
process.exit(process.exitCode || exitCodeOf(report.outcome));

/** A folder for everything temporary: in memory where there is room enough, and without what a killed run left behind. */
function makeScratch(): string {
  const memory = '/dev/shm';
  const place = roomIn(memory) > 4 * 2 ** 30 ? memory : tmpdir();
  for (const name of readdirSync(place)) {
    const pid = /^authserver-tests-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(path.join(place, name), { recursive: true, force: true });
  }
  const scratch = path.join(place, `authserver-tests-${process.pid}`);
  mkdirSync(scratch, { mode: 0o755 });
  return scratch;
}

function roomIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
