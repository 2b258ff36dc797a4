import { access, constants, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ListedDrill } from '../app/drill/desk.ts';
import { Failure } from '../kernel/errors.ts';
import type { DrillReport } from '../ops/drill/report.ts';
import type { DrillProgress } from '../ops/drill/run.ts';
import { type CliContext, type Command, command } from './command.ts';
import { text } from './option.ts';
import { type Column, column, moment } from './print/printer.ts';
import { progressLine } from './print/progress.ts';
import { timeText } from './print/quantity.ts';

const drillRunCommand = command({
  name: 'drill run',
  summary: 'Rehearse a disaster on a copy of this installation, and measure the way back.',
  description:
    'A copy is made with a database, keys and a backup target of its own; the disaster happens to the copy, and the ' +
    "product's own recovery brings it back. The installation is only read, and may serve meanwhile. It needs room for the " +
    'copy two or three times over. With the recovery key the newest backup is what is copied, which proves that the key is ' +
    'held. The signed report and its page are kept in drills/ of the state directory. The exit code is 1 where the drill ' +
    'does not pass.',
  arguments: { drill: 'host-loss, key-loss, db-corruption, bad-migration, mass-delete or clock-jump' },
  options: {
    recovery_key: text('--recovery-key <file>', 'the recovery sheet (or AUTHSERVER_RECOVERY_KEY_FILE)'),
    html: text('--html <file>', 'write the page of the report there too'),
  },
  examples: [
    'authserver drill run host-loss',
    'authserver drill run key-loss --json',
    'authserver drill run host-loss --recovery-key recovery-sheet.txt --html report.html',
  ],
  drains: true,
  async run(context, { drill, recovery_key, html }) {
    const config = await context.config();
    if (html !== undefined) await checkPage(html);
    const { drillNow } = await import('../app/drill/drill.ts');
    const recoveryKeyFile = recovery_key ?? (context.env['AUTHSERVER_RECOVERY_KEY_FILE'] || undefined);
    const key = recoveryKeyFile === undefined ? undefined : { recoveryKeyFile };
    const line = progressLine(context.stderr);
    const progress = ({ step, number, elapsed }: DrillProgress) =>
      line.show({ label: step, done: number, unit: 'steps', share: null, elapsed });
    const request = { name: drill, key };
    const { report, file } = await drillNow(config, request, { progress, signal: context.signal }).finally(
      () => line.clear(),
    );
    print(context, report);
    context.printer.next(`The signed report: ${file}.json, and as a page: ${file}.html`);
    const { drillFailure } = await import('../ops/drill/report.ts');
    const failure = drillFailure(report) ?? null;
    if (html !== undefined) await writePage(html, report, failure);
    if (failure) throw failure;
  },
});

/** Before anything is rehearsed; nothing is written yet. */
async function checkPage(file: string): Promise<void> {
  try {
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
    await access(found ? file : path.dirname(file), constants.W_OK);
  } catch (cause) {
    throw new Failure('configuration', `The page cannot be written to ${file} (${codeOf(cause)}).`, {
      hint: 'Name a file in a folder that is there. The drill has not begun.',
      cause,
    });
  }
}

/** A drill that did not pass is the greater news. */
async function writePage(file: string, report: DrillReport, failure: Failure | null): Promise<void> {
  const { reportPage } = await import('../ops/drill/page.ts');
  await writeFile(file, reportPage(report), { mode: 0o600 }).catch((cause: unknown) => {
    const problem = `The page cannot be written to ${file} (${codeOf(cause)}).`;
    const kept = 'The report is kept in drills/ of the state directory, with its page.';
    if (!failure) throw new Failure('failed', `The drill has passed. ${problem}`, { hint: kept, cause });
    throw new Failure(failure.code, failure.message, {
      detail: [failure.detail ?? '', problem].join(' ').trim(),
      hint: [failure.hint ?? '', kept].join(' ').trim(),
      cause: failure,
    });
  });
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}

function print({ printer }: CliContext, report: DrillReport): void {
  const { drill, passed, steps, notes } = report;
  const figure = (ms: number | null) => (ms === null ? 'not measured' : timeText(ms));
  printer.record(report, `The drill ${drill} ${passed ? 'has passed' : 'DID NOT PASS'}.`, [
    column('RTO', ({ rto_ms }) => figure(rto_ms)),
    column('RPO', ({ rpo_ms }) => figure(rpo_ms)),
    column('took', ({ ms }) => timeText(ms)),
    column('copy of', ({ source }) => source.backup ?? 'a backup made for the drill'),
    ...steps.map(
      ({ name, ms, outcome, detail }): Column<DrillReport> => ({
        title: outcome === 'done' ? 'ok' : 'FAILED',
        text: () => `${name} (${timeText(ms)})${detail === '' ? '' : `: ${detail}`}`,
      }),
    ),
    ...notes.map((note): Column<DrillReport> => ({ title: 'note', text: () => note })),
  ]);
}

const drillListCommand = command({
  name: 'drill list',
  summary: 'Show the drills that took place, and the ones that there are.',
  description: 'Reads the signed reports that are kept on this machine, the newest first.',
  examples: ['authserver drill list', 'authserver drill list --json'],
  async run({ config, printer }) {
    const { listDrills } = await import('../app/drill/desk.ts');
    const { drills } = await import('../ops/drill/drills.ts');
    const rows = listDrills(await config()).map(rowOf);
    const known = drills.map(({ name, summary }) => ({ name, summary }));
    printer.list(rows, COLUMNS, 'No drill took place yet.', { drills: known });
    for (const { at, drill, failed } of rows)
      for (const { name, detail } of failed ?? [])
        printer.next(
          `Attention: ${drill} at ${moment(at)} failed: ${name}${detail === '' ? '' : `: ${detail}`}`,
        );
    printer.next('There are:');
    for (const { name, summary } of known) printer.next(`  ${name.padEnd(14)} ${summary}`);
  },
});

type Row = ReturnType<typeof rowOf>;

/** A report that cannot be believed is listed, and counts for nothing. */
function rowOf({ report, file }: ListedDrill) {
  return {
    id: report?.id ?? null,
    drill: report?.drill ?? null,
    at: report?.at ?? null,
    passed: report?.passed ?? null,
    rpo_ms: report?.rpo_ms ?? null,
    rto_ms: report?.rto_ms ?? null,
    ms: report?.ms ?? null,
    backup: report?.source.backup ?? null,
    failed:
      report?.steps
        .filter(({ outcome }) => outcome === 'failed')
        .map(({ name, detail }) => ({ name, detail })) ?? null,
    believed: report !== null,
    file,
  };
}

const figure = (ms: number | null) => (ms === null ? '-' : timeText(ms));

const COLUMNS: readonly Column<Row>[] = [
  column('at', ({ at }) => moment(at)),
  column('drill', ({ drill }) => drill ?? '-'),
  column('outcome', ({ passed, believed }) =>
    believed ? (passed ? 'passed' : 'FAILED') : 'NOT SIGNED by this deployment',
  ),
  column('rto', ({ rto_ms }) => figure(rto_ms)),
  column('rpo', ({ rpo_ms }) => figure(rpo_ms)),
  column('took', ({ ms }) => figure(ms)),
  column('report', ({ file }) => file),
];

export const drillCommands: readonly Command[] = [drillRunCommand, drillListCommand];
