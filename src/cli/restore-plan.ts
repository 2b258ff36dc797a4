/** How a plan is shown, confirmed and carried out, whatever it brings back. */
import type { PreparedRestore } from '../app/restore/prepared.ts';
import type { RestorePlan } from '../ops/restore/plan.ts';
import { type RestoreReceipt, receiptText } from '../ops/restore/receipt.ts';
import type { RestoreProgress } from '../ops/restore/run.ts';
import type { CliContext } from './command.ts';
import { type Column, column, moment } from './print/printer.ts';
import { progressLine } from './print/progress.ts';
import { timeText } from './print/quantity.ts';

interface Manner {
  readonly planOnly: boolean;
  readonly yes: boolean;
  readonly verb: 'restore' | 'undo';
  /** It is a copy, of which only the caller can say what becomes. */
  readonly isElsewhere?: boolean;
}

/** Failures: the first obstacle of the plan, once all of it has been shown; `refused` when nobody confirms. */
export async function carryOut(
  { printer, confirm, signal, stderr }: CliContext,
  prepared: PreparedRestore,
  { planOnly, yes, verb, isElsewhere = false }: Manner,
): Promise<void> {
  const { plan, obstacles } = prepared;
  const [obstacle] = obstacles;
  // Also before somebody is asked, who has to see what they say yes to.
  if (planOnly || !yes) {
    const shown = { ...plan, obstacles: obstacles.map(({ message }) => message) };
    printer.record(shown, headline(verb, plan), columnsOf(plan, obstacles));
  }
  if (obstacle) throw obstacle;
  if (planOnly) return;
  if (!yes) await confirm(question(verb, plan), plan.deployment);
  const line = progressLine(stderr);
  const began = performance.now();
  const progress = ({ step, number, of }: RestoreProgress) =>
    line.show({
      label: step,
      done: number,
      unit: `of ${of} steps`,
      share: (number - 1) / of,
      elapsed: performance.now() - began,
    });
  const receipt = await prepared.run({ progress, signal }).finally(() => line.clear());
  printer.document(receipt, receiptText(receipt));
  if (!isElsewhere) printer.next(after(verb, receipt));
}

function headline(verb: Manner['verb'], { backup }: RestorePlan): string {
  return verb === 'restore'
    ? `Backup ${backup.id} would be restored.`
    : `Restore ${backup.id} would be undone.`;
}

function question(verb: Manner['verb'], plan: RestorePlan): string {
  const { backup, into, kept_as, lost } = plan;
  const what = verb === 'restore' ? `backup ${backup.id}` : `the state before restore ${backup.id}`;
  const loss = lost ? ` What happened from ${moment(lost.from)} on will be missing.` : '';
  const keeps = kept_as === null ? '' : ` The present state is kept as ${kept_as}.`;
  return `Put ${what} in the place of ${into}?${loss}${keeps}`;
}

function after(verb: Manner['verb'], { kept_as, before_start }: RestoreReceipt): string {
  const start = before_start === null ? 'Start the server.' : 'Then start the server.';
  if (kept_as === null) return start;
  return `${start} To take this back: authserver restore undo. To let go of the state before: authserver restore forget${verb === 'undo' ? '.' : ', once all is well.'}`;
}

function lossOf(lost: RestorePlan['lost']): string {
  if (lost === null) return 'nothing';
  if (lost.from > lost.to) return `nothing yet: ${moment(lost.from)} has not come`;
  return `what happened from ${moment(lost.from)} to ${moment(lost.to)}`;
}

function columnsOf(plan: RestorePlan, obstacles: readonly Error[]): readonly Column<RestorePlan>[] {
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  return [
    column('deployment', ({ deployment }) => deployment),
    column(
      'from',
      ({ backup: { place, made_at, program } }) =>
        `${place}, made ${moment(made_at)}${program === null ? '' : ` by authserver ${program}`}`,
    ),
    column('proven', ({ backup }) => (backup.verified_at === null ? 'never' : moment(backup.verified_at))),
    column('takes about', ({ backup }) => (backup.rto_ms === null ? 'unknown' : timeText(backup.rto_ms))),
    column('into', ({ into }) => into),
    column('state of', ({ restored_to }) => moment(restored_to)),
    column('lost', ({ lost }) => lossOf(lost)),
    column('kept as', ({ kept_as }) => kept_as ?? '(there is nothing now)'),
    column('sessions', ({ sessions }) => (sessions === 'end' ? 'end; people sign in again' : 'go on')),
    column('schema steps', ({ schema_steps }) => schema_steps.join(', ') || 'none'),
    column(
      'room',
      ({ room }) => `${mib(room.needed)} needed, ${room.free === null ? 'unknown' : mib(room.free)} free`,
    ),
    ...plan.notes.map((note) => column<RestorePlan>('note', () => note)),
    ...obstacles.map(({ message }) => column<RestorePlan>('in the way', () => message)),
  ];
}
