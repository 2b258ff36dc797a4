import type { MigrationReport } from '../app/migrate.ts';
import type { PlannedStep, TouchedTable } from '../ops/migrate-estimate.ts';
import { command } from './command.ts';
import { flag, text, unless } from './option.ts';
import type { Printer } from './print/printer.ts';

export const migrateCommand = command({
  name: 'migrate',
  summary: 'Bring the database schema up to this version.',
  description:
    'Forward only; on a database that is up to date it does nothing. Of one that holds data a backup is made first, on every ' +
    'target, and the steps are tried on what it gives back; on SQLite a copy is kept beside the database as well. Killed at ' +
    'any moment and run again it ends the same. What undoes the upgrade is printed at the end.',
  options: {
    plan: flag('--plan', 'show the steps, what they touch and how long they may take, without taking them'),
    backup: unless('--no-backup', 'go ahead without a backup that this program has proven'),
    accept_deployment: text(
      '--accept-deployment <id>',
      'let this state directory go over to the deployment of this database (`new`: to an empty one)',
    ),
  },
  examples: [
    'authserver migrate --plan',
    'authserver migrate --config /etc/authserver/config.yaml',
    'authserver migrate --no-backup',
  ],
  drains: true,
  async run({ config, printer, signal }, { plan, backup, accept_deployment }) {
    const { migrate } = await import('../app/migrate.ts');
    const options = { planOnly: plan, backup, acceptDeployment: accept_deployment, stop: signal };
    print(printer, await migrate(await config(), options));
  },
});

function print(printer: Printer, report: MigrationReport): void {
  const { steps, applied, backup, undo } = report;
  const done = applied ? `${steps.length} applied.` : `${steps.length} to apply.`;
  printer.record(
    report,
    steps.length === 0 ? 'The schema is up to date.' : `Schema steps: ${done}`,
    steps.map((step) => ({
      title: String(step.version),
      text: () => (applied ? step.name : describe(step)),
    })),
  );
  if (backup) for (const sentence of keptText(backup)) printer.next(sentence);
  if (undo.length > 0) printer.next('To undo this upgrade:');
  for (const [index, { say, command, instead }] of undo.entries()) {
    printer.next(`${index + 1}. ${say}`, command ?? undefined);
    if (instead) printer.next(`   ${instead.say}`, instead.command);
  }
}

function keptText(backup: NonNullable<MigrationReport['backup']>): readonly string[] {
  if ('intent' in backup) return [backup.intent];
  const { id, targets, proof, copy } = backup;
  return [
    ...(id === null ? [] : [`The state before is backup ${id} on ${targets.join(', ')}: ${proof}.`]),
    ...(copy ? [`A copy of the state before is in ${copy.file}: ${copy.proof}.`] : []),
  ];
}

const BLOCKING = {
  no: 'writers go on',
  briefly: 'writers wait for a moment',
  throughout: 'no server may run meanwhile',
} as const;

/** `day-two (release 0.1.0), about 60 ms, writers wait for a moment: makes leases; points at clients (about 12 rows)` */
function describe({ name, release, estimated_ms, blocks_writers, tables }: PlannedStep): string {
  const parts = [
    list('makes', tables, 'new'),
    list('changes', tables, 'changed'),
    list('points at', tables, 'references'),
  ];
  const head = `${name} (release ${release}), about ${estimated_ms} ms by estimate, ${BLOCKING[blocks_writers]}`;
  return `${head}: ${parts.filter(Boolean).join('; ')}`;
}

function list(verb: string, tables: readonly TouchedTable[], change: TouchedTable['change']): string {
  const those = tables.filter((touched) => touched.change === change);
  if (those.length === 0) return '';
  const names = those.map(({ table, rows, exact }) =>
    change === 'new' ? table : `${table} (${exact ? '' : 'about '}${rows} rows)`,
  );
  return `${verb} ${names.join(', ')}`;
}
