import { command } from './command.ts';

export const configPrintCommand = command({
  name: 'config print',
  summary: 'Print the settings in effect, each with where it comes from.',
  description:
    'The text is a configuration file with the same effect, but for its secrets, which are never printed.',
  examples: [
    'authserver config print',
    'authserver config print --config /etc/authserver/config.yaml --json',
  ],
  async run({ loadedConfig, printer }) {
    const { describeConfig, writeYaml } = await import('../app/config/print.ts');
    const described = describeConfig(await loadedConfig());
    printer.document({ keys: described }, writeYaml(described));
  },
});
