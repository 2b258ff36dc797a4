import { type Command, command } from './command.ts';
import { flag } from './option.ts';
import { column } from './print/printer.ts';

export const keysAbandonCommand: Command = command({
  name: 'keys abandon',
  summary: 'Give up what is sealed under a master key that is lost for good.',
  description:
    'Private keys that are sealed under it are removed, because nobody can ever open them; their public halves stay, so that tokens that were issued go on verifying. Look for the master key first: authserver keys shares combine rebuilds it from recovery shares. Refused while the settings have it.',
  arguments: { master_key_id: 'the id that the failed start has named' },
  options: { yes: flag('--yes', 'do not ask') },
  examples: ['authserver keys abandon aes_0123456789abcdef0123456789abcdef'],
  async run(context, { master_key_id, yes }) {
    if (!yes) await context.confirm(`Give up for good what is sealed under ${master_key_id}?`);
    const { perform } = await import('../app/day-two.ts');
    const { abandonVerb } = await import('../app/key-verbs.ts');
    const watch = { progress: () => undefined, signal: context.signal };
    const report = await perform(await context.config(), abandonVerb({ master_key_id }), watch);
    context.printer.record(report, `Given up what was sealed under ${master_key_id}.`, [
      column('data keys', ({ data_keys }) => String(data_keys)),
      column('private keys', ({ rows }) => String(rows)),
    ]);
    context.printer.next(
      'With the new master key in the settings, go on with a new signing key:',
      'authserver keys recover --new',
    );
  },
});
