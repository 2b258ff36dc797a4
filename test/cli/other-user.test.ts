// Whoever forgot `sudo -u`: the state directory is closed to the user who runs the command.

import { execFile } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { COMMAND, ownEnvironment, TestServer } from '../setup/server.ts';

/** Root reads what it likes, unless it has left that right behind (capabilities(7)). */
const PLAIN =
  process.getuid?.() === 0
    ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--', process.execPath]
    : [process.execPath];

const COMMANDS = [
  'backup list',
  'backup create',
  'backup prune --dry-run',
  'backup key show',
  'restore --latest --plan',
  'recovery status',
  'drill list',
  'drill run host-loss',
  'doctor',
  'keys list',
  'keys verify',
  'migrate --plan',
  'purge --dry-run',
  'admin user list',
];

describeEngines('a user whose server it is not', (engine) => {
  test('is told so by every command, and nothing else', async () => {
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage });
    await server.start();
    await server.stop();
    await chmod(server.stateDir, 0o000);
    try {
      const answers = await Promise.all(COMMANDS.map((words) => run(words.split(' '), server.env)));
      for (const [index, { code, stdout, stderr }] of answers.entries()) {
        const told = `${COMMANDS[index]}: ${code} ${stderr}`;
        expect(told).toMatch(/: 2 [\s\S]*This user may not read [\s\S]*sudo -u authserver/);
        expect(told).not.toMatch(/\n\s+at /);
        expect(stdout).toBe('');
      }
    } finally {
      await chmod(server.stateDir, 0o700);
    }
  });
});

describe('a key that signs backups', () => {
  test('that this user may not read is not called a broken one', async () => {
    await using storage = await freshStorage({ name: 'sqlite' });
    await using server = await TestServer.prepare({ storage });
    await server.start();
    await server.stop();
    await chmod(`${server.stateDir}/backup-signing.pem`, 0o000);
    const { code, stderr } = await run(['drill', 'list'], server.env);
    expect(`${code} ${stderr}`).toMatch(/^2 [\s\S]*backup-signing.pem cannot be read \(EACCES\)/);
    expect(stderr).not.toContain('move it away');
  });
});

function run(words: readonly string[], env: Readonly<Record<string, string>>) {
  const [program = '', ...rest] = [...PLAIN, COMMAND, ...words];
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(
      program,
      rest,
      { env: { ...ownEnvironment(), NO_COLOR: '1', ...env } },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}
