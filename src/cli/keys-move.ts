import { Failure } from '../kernel/errors.ts';
import { type Command, command } from './command.ts';
import { choice } from './option.ts';
import { column } from './print/printer.ts';

export const keysMoveCommand: Command = command({
  name: 'keys move',
  summary: 'Move the private keys to another key store, while they sign.',
  description:
    'Each private key is copied, proven to sign where it came to, noted in the database, and only then removed where it was. Stopped or killed at any moment, every key is where its row says; run it again to go on. The settings must say how to open both stores. Into `env`, the settings must hold the key already; out of `vault_transit`, or into it, no private key goes: change signing.key_store and rotate instead.',
  options: {
    to: choice('--to <store>', 'keyfile, database or env', ['keyfile', 'database', 'env']),
  },
  examples: ['authserver keys move --to database', 'authserver keys move --to keyfile'],
  drains: true,
  async run(context, { to }) {
    if (to === undefined) {
      throw new Failure('invalid_input', 'Where to is missing.', {
        hint: 'Say --to keyfile, --to database or --to env.',
      });
    }
    const { perform } = await import('../app/day-two.ts');
    const { moveVerb } = await import('../app/key-verbs.ts');
    const config = await context.config();
    const watch = { progress: () => undefined, signal: context.signal };
    const report = await perform(config, moveVerb({ to }), watch);
    const { printer } = context;
    printer.record(report, `${report.moved.length} private keys moved to the key store ${to}.`, [
      column('were there already', ({ kept }) => String(kept)),
      ...report.moved.map(({ kid, from }) => column<object>(kid, () => `from ${from}`)),
      ...report.cleared.map(({ kid, place }) => column<object>(kid, () => `copy removed: ${place}`)),
      ...report.without_private_half.map((kid) =>
        column<object>(kid, () => 'signs no more and has no private half; left as it is'),
      ),
    ]);
    if (config.signing.key_store !== to) {
      printer.next(
        `New keys are made where the settings say. Set it for every server: signing.key_store: ${to}`,
      );
    }
    if (report.moved.some(({ from }) => from === 'env')) {
      printer.next(
        'The private keys are still in the environment. Unset AUTHSERVER_SIGNING_KEY and AUTHSERVER_SIGNING_KEY_NEXT.',
      );
    }
  },
});
