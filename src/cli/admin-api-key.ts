import { call } from './admin-calls.ts';
import { type Command, command } from './command.ts';
import { column } from './print/printer.ts';

const rotate = command({
  name: 'admin api-key rotate',
  summary: 'Make a new key for the admin API over TCP; the former one is void at once.',
  examples: ['authserver admin api-key rotate'],
  async run(context) {
    const rotated = await call<{ api_key: string }>(context, 'POST', ['api-key', 'rotate']);
    context.printer.record(rotated, 'The admin API has a new key.', [
      column('key', ({ api_key }) => api_key),
    ]);
    context.printer.next('The key is shown this once and cannot be read back: store it now.');
  },
});

export const adminApiKeyCommands: readonly Command[] = [rotate];
