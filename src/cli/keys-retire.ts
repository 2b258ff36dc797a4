import type { Retirement } from '../keys/withdrawal.ts';
import { call } from './admin-calls.ts';
import { command } from './command.ts';

export const keysRetireCommand = command({
  name: 'keys retire',
  summary: 'Retire a key that no living token needs, or withdraw the one that waits.',
  description:
    'Keys retire by themselves when their last token has run out; this is for earlier. A key with living tokens is refused, and so is the one that signs. The public half is kept for ever, for hints; the private half is removed.',
  arguments: { kid: 'key id' },
  examples: ['authserver keys retire 3Jk0aVd2mZ'],
  async run(context, { kid }) {
    const retirement = await call<Retirement>(context, 'POST', ['keys', kid, 'retire']);
    const { former_state } = retirement;
    const did =
      former_state === 'pending'
        ? 'is withdrawn; it never signed.'
        : former_state === 'retired'
          ? 'had retired already.'
          : 'has retired.';
    context.printer.record(retirement, `Key ${kid} ${did}`);
  },
});
