import type { ReencryptProgress, ReencryptReport } from '../keys/sealing/reencrypt.ts';
import { type CliContext, type Command, command } from './command.ts';
import { flag } from './option.ts';
import { column } from './print/printer.ts';
import { progressLine } from './print/progress.ts';

export const keysReencryptCommand: Command = command({
  name: 'keys reencrypt',
  summary: 'Wrap every data key by the present master key, and prove that nothing needs a former one.',
  description:
    'It runs while servers run, may be stopped or killed at any moment, and goes on where it was when it is run again. At the end it opens every sealed row, counts what each master key wraps, and says whether former master keys may be removed from the settings. Before: give every server the new master key as data_encryption.key and the former one in data_encryption.old_keys.',
  options: {
    data_keys: flag('--data-keys', 'also make a new data key and seal every row under it'),
  },
  examples: ['authserver keys reencrypt', 'authserver keys reencrypt --data-keys --json'],
  drains: true,
  async run(context, { data_keys }) {
    const { perform } = await import('../app/day-two.ts');
    const { reencryptVerb } = await import('../app/key-verbs.ts');
    const line = progressLine(context.stderr);
    const started = performance.now();
    const progress = ({ step, done, total }: ReencryptProgress) =>
      line.show({
        label: step,
        done,
        unit: 'rows',
        share: done / total,
        elapsed: performance.now() - started,
      });
    const watch = { progress, signal: context.signal };
    const verb = reencryptVerb({ data_keys });
    const report = await perform(await context.config(), verb, watch).finally(() => line.clear());
    printReport(context, report);
    if (!report.proven) await fail(report);
  },
});

function printReport({ printer }: CliContext, report: ReencryptReport): void {
  const { data_keys: keys, rows, proven, removable } = report;
  const headline = proven
    ? `Every sealed row opens by way of the master key ${report.master_key_id}.`
    : 'Former master keys are still needed.';
  printer.record(report, headline, [
    column(
      'data keys',
      () => `${keys.total}; ${keys.rewrapped} wrapped anew, ${keys.made} made, ${keys.removed} removed`,
    ),
    column('rows', () => `${rows.total}; ${rows.resealed} sealed anew`),
    ...report.by_master_key.map((each) =>
      column<ReencryptReport>(each.master_key_id, () => `${each.data_keys} data keys, ${each.rows} rows`),
    ),
    ...report.unreadable.map((each) =>
      column<ReencryptReport>(`${each.table} ${each.id}`, () => each.problem),
    ),
  ]);
  for (const { master_key_id, source } of removable) {
    printer.next(`Nothing needs ${master_key_id} any longer; it may be removed from ${source}.`);
  }
}

async function fail({ unreadable }: ReencryptReport): Promise<never> {
  const { Failure } = await import('../kernel/errors.ts');
  const what =
    unreadable.length > 0
      ? `${unreadable.length} sealed rows do not open.`
      : 'Some data keys are not wrapped by the present master key.';
  throw new Failure('configuration', what, {
    hint:
      unreadable.length > 0
        ? 'Restore these rows from a backup, then run the command again. Keep the former master key.'
        : 'Another process has made a data key meanwhile. Run the command again.',
  });
}
