/** `restore --only`: how single things are shown, confirmed and taken back. */
import { Failure } from '../kernel/errors.ts';
import {
  CONFLICT_POLICIES,
  type Conflict,
  type ReinstateReport,
  type ThingReport,
} from '../ops/reinstate/report.ts';
import { readThings } from '../ops/reinstate/thing.ts';
import type { HeldBack } from '../store/store.ts';
import { type OpeningInput, openingOf } from './backup-keys.ts';
import type { CliContext } from './command.ts';
import { choice, text } from './option.ts';
import { type Column, moment } from './print/printer.ts';

export const onlyOptions = {
  only: text(
    '--only <things>',
    'put these back into the live database and change nothing else: user:ID,client:ID,resource:URI',
  ),
  on_conflict: choice(
    '--on-conflict <policy>',
    'with --only, where something is there already and is not as it was: write nothing, keep what is there, or replace it (default: report)',
    CONFLICT_POLICIES,
  ),
} as const;

interface OnlyInput extends OpeningInput {
  readonly only: string;
  readonly backup: string | undefined;
  readonly on_conflict: (typeof CONFLICT_POLICIES)[number] | undefined;
  readonly plan: boolean;
  readonly yes: boolean;
}

/** Failures: `conflict` once the report has been shown; `refused` when nobody confirms. */
export async function restoreOnly(
  context: CliContext,
  { only, backup, on_conflict = 'report', plan, yes, ...opening }: OnlyInput,
): Promise<void> {
  const { printer, signal, confirm } = context;
  const things = readThings(only);
  const { LATEST } = await import('../app/reinstate/open-backup.ts');
  const { prepareTakeBack } = await import('../app/reinstate/reinstate.ts');
  const request = { backup: backup ?? LATEST, things, on_conflict, ...openingOf(context, opening) };
  await using takeBack = await prepareTakeBack(await context.config(), request, signal);
  if (plan || !yes) {
    const planned = await takeBack.plan(signal);
    print(printer, planned);
    if (planned.outcome === 'conflict') throw conflict(planned);
    if (plan) return;
    if (planned.consents.added === 0 && planned.things.every(({ action }) => action === 'none')) return;
    await confirm('Put this back into the live database?');
  }
  const report = await takeBack.run(signal);
  print(printer, report);
  if (report.outcome === 'conflict') throw conflict(report);
  showNext(printer, report);
}

function print(printer: CliContext['printer'], report: ReinstateReport): void {
  const { outcome, things, backup, state_of } = report;
  const of = `from backup ${backup}, as of ${moment(state_of)}`;
  const headlines = {
    planned: `Would be put back, ${of}:`,
    done: `Put back, ${of}:`,
    conflict: `Nothing is put back ${of}, because of conflicts:`,
  };
  const lines: Column<ReinstateReport>[] = [
    ...things.flatMap((thing) => thingLines(thing, outcome)),
    ...consentLines(report),
  ];
  printer.record(report, headlines[outcome], lines);
}

function thingLines(
  thing: ThingReport,
  outcome: ReinstateReport['outcome'],
): readonly Column<ReinstateReport>[] {
  const { kind, id, name, action, conflicts, removed_at, password, secrets, held } = thing;
  const actions = {
    add: removed_at === null ? 'is not there; added' : `was removed ${moment(removed_at)}; added`,
    replace: 'is there, and becomes as it was',
    none: 'is there as it was',
    left: 'stays as it is now',
  };
  const parts = [
    outcome === 'conflict' && conflicts.length > 0 ? conflicts.map(conflictText).join('; ') : actions[action],
    ...(outcome !== 'conflict' && conflicts.length > 0 ? [conflicts.map(conflictText).join('; ')] : []),
    ...(action === 'add' && password !== null ? [password ? 'with the password' : 'without a password'] : []),
    ...(secrets > 0 ? [`with ${secrets} client secret${secrets === 1 ? '' : 's'}`] : []),
    ...held.map(heldText),
  ];
  return [{ title: `${kind} ${printable(name)} (${printable(id)})`, text: () => parts.join('; ') }];
}

function consentLines({ consents, outcome }: ReinstateReport): readonly Column<ReinstateReport>[] {
  const { added, present, withdrawn, orphaned, missing } = consents;
  if (outcome === 'conflict' || added + present + withdrawn + orphaned === 0) return [];
  const parts = [
    `${added} put back`,
    ...(present > 0 ? [`${present} there already`] : []),
    ...(withdrawn > 0 ? [`${withdrawn} withdrawn since`] : []),
    ...(orphaned > 0
      ? [`${orphaned} left out, of who is not there: ${missing.map(printable).join(', ')}`]
      : []),
  ];
  return [{ title: 'consents', text: () => parts.join('; ') }];
}

function conflictText(conflict: Conflict): string {
  if (conflict.kind === 'differs') return `is there, with another ${conflict.columns.join(', ')}`;
  if (conflict.column === 'id') return 'there is another under the same id, made since';
  return `its ${conflict.column} is now that of ${printable(conflict.by)}`;
}

const HELD: Partial<Record<HeldBack['kind'], string>> = {
  password_changed: 'its password was changed',
  user_disabled: 'disabled, as it was',
  client_disabled: 'disabled, as it was',
  client_narrowed: 'narrowed, as it was',
  client_secret_rotated: 'its secret was replaced',
  resource_narrowed: 'narrowed, as it was',
};

function heldText({ kind, at }: HeldBack): string {
  return `${HELD[kind] ?? kind} ${moment(at)}`;
}

function conflict({ things }: ReinstateReport): Failure {
  const isTaken = things.some(({ conflicts }) => conflicts.some(({ kind }) => kind === 'taken'));
  return new Failure('conflict', 'Nothing was written, because of conflicts.', {
    hint: isTaken
      ? 'Give the other one another name first, or leave the thing out; --on-conflict=keep leaves out what is in conflict.'
      : 'Say --on-conflict=replace to make what is there as it was, or --on-conflict=keep to leave it.',
  });
}

function showNext(printer: CliContext['printer'], { things }: ReinstateReport): void {
  for (const { kind, id, action, password, held } of things) {
    if (action !== 'add') continue;
    if (kind === 'user' && password === false)
      printer.next(`${id} has no password now:`, `authserver admin user set-password ${id}`);
    if (kind === 'client' && held.some((one) => one.kind === 'client_secret_rotated'))
      printer.next(`${id} needs a new secret:`, `authserver admin client rotate-secret ${id}`);
  }
}

/** Names come from people, and a terminal obeys what is hidden in them. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '\ufffd');
}
