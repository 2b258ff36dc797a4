import { type Command, command } from './command.ts';
import { flag } from './option.ts';
import { column } from './print/printer.ts';
import { carryOut } from './restore-plan.ts';

const undo = command({
  name: 'restore undo',
  summary: 'Bring the state back that the last restore has put aside.',
  description:
    'In the same way as a restore: read, compared and made safe beside the present state, which is kept in its turn. What was revoked since stays revoked, and people sign in again. What happened since the restore is missing afterwards.',
  options: {
    plan: flag('--plan', 'show what would be done, without doing it'),
    yes: flag('--yes', 'go ahead without being asked'),
  },
  examples: ['authserver restore undo --plan', 'authserver restore undo --yes'],
  drains: true,
  async run(context, { plan, yes }) {
    const { prepareUndo } = await import('../app/restore/undo.ts');
    await using prepared = await prepareUndo(await context.config());
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
