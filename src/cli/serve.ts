import type { OtherBackups } from '../app/backup/others.ts';
import type { Ready } from '../app/serve.ts';
import { type CliContext, command } from './command.ts';

export const serveCommand = command({
  name: 'serve',
  summary: 'Run the server in the foreground.',
  description:
    'The first start makes the state directory, the database, the first signing key, the key of the admin API and the ' +
    'recovery key of backups, which are printed once. SIGTERM or SIGINT stop the server when the requests under way are finished; a second one stops it at once.',
  examples: [
    'authserver serve',
    'authserver serve --config /etc/authserver/config.yaml',
    'AUTHSERVER_STATE_DIR=/var/lib/authserver authserver serve --json',
  ],
  drains: true,
  keepsOnHangup: true,
  async run(context) {
    const { serve } = await import('../app/serve.ts');
    await serve(await context.loadedConfig(), context.signal, (ready) => announce(context, ready));
  },
});

function announce({ printer, env }: CliContext, ready: Ready): void {
  const { admin_api_key: key, recovery_sheet: sheet, other_backups: others = [] } = ready;
  printer.record(ready, 'authserver is ready.', [
    { title: 'Issuer', text: ({ issuer }) => issuer },
    { title: 'Listens on', text: ({ url }) => url },
    {
      title: 'Admin API',
      text: ({ admin_url }) => admin_url ?? 'over the socket in the state directory only',
    },
    { title: 'State', text: ({ state_dir }) => state_dir },
    ...(key === undefined ? [] : [{ title: 'Admin API key', text: () => `${key}  (shown once; keep it)` }]),
  ]);
  if (sheet !== undefined) {
    printer.next(
      'The recovery sheet below opens every backup, and without it none can be opened. It is shown once and kept nowhere: save it away from this machine, then say so:',
      'authserver backup key confirm',
    );
    printer.next(`\n${sheet}`);
  }
  if (others.length > 0) printer.next(...attentionTo(others));
  if (key === undefined) return;
  // Who came by `npm start` has no `authserver` on the path.
  const program = env['npm_lifecycle_event'] === undefined ? 'authserver' : './bin/authserver';
  printer.next('In another terminal, create the first user:', `${program} admin user create alice`);
  printer.next('Stop the server with Ctrl-C.');
}

/** Whoever has lost a volume starts the server on an empty one, which looks like all is well. */
function attentionTo(others: readonly OtherBackups[]): [text: string, command: string] {
  const held = others.map(
    ({ target, place, count, newest }) => `${target} (${place}) holds ${count}, the newest ${newest}`,
  );
  return [
    `\nAttention: this database is new, and there are backups that it has not made: ${held.join('; ')}. If a server was lost, stop this one and bring that one back:`,
    'authserver restore --latest --recovery-key FILE',
  ];
}
