import { adminPath, column } from './admin-calls.ts';
import { type Command, command } from './command.ts';

const rotate = command({
  name: 'admin api-key rotate',
  summary: 'Make a new key for the admin API over TCP; the former one is void at once.',
  examples: ['authserver admin api-key rotate'],
  async run({ admin, printer }) {
    const { body } = await (await admin()).request('POST', adminPath('api-key', 'rotate'));
    printer.record(body as { api_key: string }, 'The admin API has a new key.', [
      column('key', ({ api_key }) => api_key),
    ]);
    printer.next('The key is shown this once and cannot be read back: store it now.');
  },
});

export const adminApiKeyCommands: readonly Command[] = [rotate];
