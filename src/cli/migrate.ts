import { command } from './command.ts';
import { flag } from './option.ts';

export const migrateCommand = command({
  name: 'migrate',
  summary: 'Bring the database schema up to this version.',
  description: 'Forward only; on a database that is up to date it does nothing.',
  options: { plan: flag('--plan', 'show the steps without taking them') },
  examples: ['authserver migrate --plan', 'authserver migrate --config /etc/authserver/config.yaml'],
  async run({ config, printer }, { plan }) {
    const { migrate } = await import('../app/migrate.ts');
    const { steps, ...answer } = await migrate(await config(), { planOnly: plan });
    const headline = plan ? `${steps.length} to apply.` : `${steps.length} applied.`;
    printer.record(
      { ...answer, steps },
      steps.length === 0 ? 'The schema is up to date.' : `Schema steps: ${headline}`,
      [...steps.map(({ version, name }) => ({ title: String(version), text: () => name }))],
    );
  },
});
