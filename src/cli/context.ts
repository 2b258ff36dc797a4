import type { AdminClient } from '../app/admin-client.ts';
import type { LoadedConfig } from '../app/config.ts';
import type { CliContext } from './command.ts';
import { confirm } from './confirm.ts';
import type { Printer } from './print/printer.ts';
import type { GlobalOptions } from './program.ts';
import { readSecret } from './secret.ts';

/** The parts of a process that commands touch. */
export interface World {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The context of one command; settings and the admin API are opened when first asked for. */
export function makeContext(
  world: World,
  { config: file }: GlobalOptions,
  printer: Printer,
  signal: AbortSignal,
): { readonly context: CliContext; close(): Promise<void> } {
  const terminal = world.stdout.isTTY === true;
  let loaded: Promise<LoadedConfig> | undefined;
  let client: Promise<AdminClient> | undefined;
  const loadedConfig = async () => {
    const { loadConfig } = await import('../app/config.ts');
    const answer = await loadConfig({ file, env: world.env, terminal });
    if (answer.notices.length > 0) await logNotices(answer);
    return answer;
  };
  const openAdmin = async () => {
    const { openAdminClient } = await import('../app/admin-client.ts');
    return openAdminClient(await context.config());
  };
  const context: CliContext = {
    config: async () => {
      const { config } = await context.loadedConfig();
      const { checkAccess } = await import('../app/state-dir.ts');
      checkAccess(config);
      return config;
    },
    loadedConfig: () => (loaded ??= loadedConfig()),
    admin: () => (client ??= openAdmin()),
    printer,
    readSecret: (label, options) => readSecret(world, label, options),
    confirm: (question, word) => confirm(world, question, word),
    signal,
    env: world.env,
    terminal,
    stdout: world.stdout,
    stderr: world.stderr,
  };
  const close = async () => {
    const opened = await client?.catch(() => undefined);
    await opened?.close();
  };
  return { context, close };
}

async function logNotices({ config, notices }: LoadedConfig): Promise<void> {
  const { makeLog } = await import('../app/log.ts');
  const log = makeLog(config.observability.logging);
  for (const notice of notices) log.warn({}, notice);
}
