import { openingOf, openingOptions } from './backup-keys.ts';
import { type Command, command } from './command.ts';
import { flag } from './option.ts';
import { column } from './print/printer.ts';
import { carryOut } from './restore-plan.ts';

// What was put aside lies beside the database, on no target.
const { target: _, ...keyOptions } = openingOptions;

const undo = command({
  name: 'restore undo',
  summary: 'Bring the state back that the last restore has put aside.',
  description:
    'In the same way as a restore: read, compared and made safe beside the present state, which is kept in its turn. What was revoked since stays revoked, and people sign in again; where the present database is lost or damaged, what was revoked is known from the recovery log, which --recovery-key opens. What happened since the restore is missing afterwards.',
  options: {
    plan: flag('--plan', 'show what would be done, without doing it'),
    ...keyOptions,
    yes: flag('--yes', 'go ahead without being asked'),
  },
  examples: [
    'authserver restore undo --plan',
    'authserver restore undo --yes',
    'authserver restore undo --recovery-key recovery.txt',
  ],
  drains: true,
  async run(context, { plan, yes, ...input }) {
    const { prepareUndo } = await import('../app/restore/undo.ts');
    await using prepared = await prepareUndo(
      await context.config(),
      openingOf(context, { ...input, target: undefined }),
    );
    await carryOut(context, prepared, { planOnly: plan, yes, verb: 'undo' });
  },
});

const forget = command({
  name: 'restore forget',
  summary: 'Let go of what restores have kept for their undoing.',
  description:
    'Databases and key files that were put aside are removed for good; `restore undo` has nothing to go back to then.',
  options: { yes: flag('--yes', 'go ahead without being asked') },
  examples: ['authserver restore forget', 'authserver restore forget --yes'],
  async run({ config, confirm, printer }, { yes }) {
    const { forgetRestores } = await import('../app/restore/undo.ts');
    const settings = await config();
    if (!yes) await confirm('Remove the states that restores have put aside?');
    const forgotten = await forgetRestores(settings);
    const names = [...forgotten.databases, ...forgotten.keys];
    printer.record(forgotten, 'What restores had kept is gone.', [
      ...names.map((name) => column<object>('removed', () => name)),
    ]);
  },
});

export const restoreUndoCommands: readonly Command[] = [undo, forget];
