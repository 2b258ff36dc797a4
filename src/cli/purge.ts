import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import type { PurgeProgress, PurgeReport, TargetReport } from '../ops/purge-report.ts';
import { chooseTargets } from '../ops/purge-targets.ts';
import { type CliContext, command } from './command.ts';
import { duration, flag, text } from './option.ts';
import { type Column, moment } from './print/printer.ts';
import { type ProgressLine, progressLine } from './print/progress.ts';

/** How long a purge may take where nobody says, seconds. */
const TIMEOUT = 600;

export const purgeCommand = command({
  name: 'purge',
  summary: 'Take away what has run out and protects nothing any more.',
  description:
    'A server does this by itself every purge.interval; on top of it, or with purge.enabled off, run it from a timer. While ' +
    'another purge runs, this one does nothing. It works in small steps beside the server, and may be stopped at any time: ' +
    'what is left, the next one finds.',
  options: {
    only: text(
      '--only <targets>',
      'only these, separated by commas; an unknown one is answered with the list',
    ),
    timeout: duration('--timeout <duration>', 'stop after this long; 0 for no limit (default: 10m)'),
    dry_run: flag('--dry-run', 'count what would go, and take nothing away'),
  },
  examples: [
    'authserver purge',
    'authserver purge --dry-run',
    'authserver purge --only=dpop-nonces,assertion-jti,jti --timeout=5m',
  ],
  drains: true,
  async run(context, { only, timeout, dry_run }) {
    const names = only === undefined ? null : only.split(',').map((name) => name.trim());
    chooseTargets(names);
    const config = await context.config();
    const { purgeNow } = await import('../app/purge-now.ts');
    const line = progressLine(context.stderr);
    const request = { only: names, timeout: (timeout ?? TIMEOUT) * 1000, dry_run };
    const watch = { progress: (now: PurgeProgress) => show(line, now), signal: context.signal };
    const report = await purgeNow(config, request, watch).finally(() => line.clear());
    print(context, report);
    const failure = failureOf(report);
    if (failure) throw failure;
  },
});

/** Wiped when a target is finished, because a line of the log follows. */
function show(
  line: ProgressLine,
  { target, number, of, rows, share, elapsed, finished }: PurgeProgress,
): void {
  if (finished) line.clear();
  else line.show({ label: `${target} (${number} of ${of})`, done: rows, unit: 'rows', share, elapsed });
}

function print({ printer }: CliContext, report: PurgeReport): void {
  const { outcome, dry_run, rows, targets, held_by } = report;
  if (outcome === 'held') {
    const who = held_by
      ? `${held_by.runner} has been purging since ${moment(held_by.since)}`
      : 'Another purge runs';
    printer.record(report, `${who}. Nothing was done.`);
    return;
  }
  const touched = targets.filter(
    (target) => target.rows > 0 || target.outcome !== 'completed' || target.kept,
  );
  const least = dry_run && outcome !== 'completed' ? 'at least ' : '';
  const headline = dry_run ? `${least}${rows} rows would go.` : `${rows} rows are gone.`;
  printer.record(report, headline, touched.map(line));
}

function line(target: TargetReport): Column<PurgeReport> {
  return { title: target.target, text: () => describe(target) };
}

/** `1200 rows in 3s`, `at least 4000 rows; 17 stay, because they protect something` */
function describe({ outcome, rows, kept, duration: took, oldest_left, reason }: TargetReport): string {
  if (outcome === 'untouched') return 'its turn did not come';
  if (kept !== null) {
    const least = outcome === 'completed' ? '' : 'at least ';
    return `${least}${rows} rows${kept > 0 ? `; ${kept} stay, because they still protect something` : ''}`;
  }
  const done = `${rows} rows in ${formatDuration(took) === '0' ? '0s' : formatDuration(took)}`;
  if (outcome === 'failed') return `${done}, then it failed: ${reason}`;
  return oldest_left === null ? done : `${done}; the oldest that is left ended ${moment(oldest_left)}`;
}

/** Why the command does not end with 0. A dry run has told all it can. */
function failureOf({ outcome, dry_run, targets }: PurgeReport): Failure | undefined {
  const again = 'Run it again: it goes on with what is left. --timeout=0 takes the limit away.';
  const failed = targets.filter((target) => target.outcome === 'failed').map(({ target }) => target);
  switch (outcome) {
    case 'failed':
      return new Failure('failed', `The purge failed at: ${failed.join(', ')}.`, {
        hint: `The log says why. Once that is mended: authserver purge --only=${failed.join(',')}`,
      });
    case 'stopped':
      return new Failure('interrupted', 'The purge was stopped before it was done.', { hint: again });
    case 'out_of_time':
      return dry_run
        ? undefined
        : new Failure('unavailable', 'The time was up before the purge was done.', { hint: again });
    default:
      return undefined;
  }
}
