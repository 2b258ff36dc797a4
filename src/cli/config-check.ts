import { command } from './command.ts';

export const configCheckCommand = command({
  name: 'config check',
  summary: 'Read the settings and name every fault, without starting anything.',
  examples: [
    'authserver config check',
    'authserver config check --config /etc/authserver/config.yaml --json',
  ],
  async run({ loadedConfig, printer }) {
    await loadedConfig();
    printer.record({ ok: true }, 'The configuration is good.');
  },
});
