import type { Config } from '../app/config.ts';
import type { LogStatus } from '../app/recovery/status.ts';
import { Failure } from '../kernel/errors.ts';
import type { RecoveryStatus } from '../ops/point-in-time/status.ts';
import { command } from './command.ts';
import { column, moment, type Printer } from './print/printer.ts';

export const recoveryStatusCommand = command({
  name: 'recovery status',
  summary: 'Show to which moments the database can be taken back, and what is in the way.',
  description:
    'On the host of a PostgreSQL database, as root or as the user who runs it, it also looks into the repository of ' +
    'pgBackRest and tells the servers what it saw: let a timer run it there once a day. The exit code is 1 when something is ' +
    'wrong.',
  examples: ['authserver recovery status', 'authserver recovery status --json'],
  async run(context) {
    const config = await context.config();
    const findings = await show(config, context.printer);
    const wrong = findings.filter(({ level }) => level === 'error');
    if (wrong.length > 0) {
      throw new Failure('failed', `Point in time recovery needs attention: ${wrong.length} errors.`);
    }
  },
});

type Findings = readonly { readonly level: string; readonly says: string; readonly hint: string }[];

async function show(config: Config, printer: Printer): Promise<Findings> {
  if (config.storage.driver === 'sqlite') {
    const { checkSchema } = await import('../app/database.ts');
    await checkSchema(config);
    const { logStatus } = await import('../app/recovery/status.ts');
    const status = await logStatus(config);
    printLogStatus(printer, status);
    return status.findings;
  }
  const { recoveryStatus } = await import('../app/pgbackrest/status.ts');
  const status = await recoveryStatus(config);
  printStatus(printer, status);
  return status.findings;
}

function printLogStatus(printer: Printer, status: LogStatus): void {
  const { window, findings, targets } = status;
  printer.record(status, headingOf(status), [
    column('kept by', () => 'the server'),
    column('window', () => (window ? `${moment(window.from)} to ${moment(window.to)}` : '-')),
    column('lag', ({ recovery_lag_seconds: lag }) => (lag === null ? 'unknown' : `${lag} s`)),
    ...targets.map(({ target, until }) => column(`on ${target} until`, () => moment(until))),
  ]);
  printFindings(printer, findings);
}

export function printStatus(printer: Printer, status: RecoveryStatus): void {
  const { window, findings } = status;
  printer.record(status, headingOf(status), [
    column('kept by', ({ by }) => by ?? 'nobody'),
    column('window', () => (window ? `${moment(window.from)} to ${moment(window.to)}` : '-')),
    column('lag', ({ recovery_lag_seconds: lag }) => (lag === null ? 'unknown' : `${lag} s at most`)),
    column('segments waiting', ({ segments_waiting }) => String(segments_waiting)),
    column('last full backup', ({ last_full }) => moment(last_full)),
    column('last restore tried', ({ round_trip_at }) => moment(round_trip_at)),
    column('looked at', ({ seen_at }) => moment(seen_at)),
  ]);
  printFindings(printer, findings);
}

function headingOf({ ok, window }: Pick<LogStatus, 'ok' | 'window'>): string {
  if (ok) return 'Point in time recovery works.';
  return window
    ? 'Point in time recovery reaches the window below; something needs attention.'
    : 'Point in time recovery does not work.';
}

function printFindings(printer: Printer, findings: Findings): void {
  for (const { level, says, hint } of findings) {
    printer.next(`${level === 'error' ? 'ERROR' : 'Note'}: ${says}`);
    printer.next(`  ${hint}`);
  }
}
