// The story of a wrong removal, told with the product's own commands.

import { describe, expect, it, vi } from 'vitest';
import { answerOf } from '../setup/command.ts';
import { engines, freshStorage } from '../setup/engines.ts';
import { startServer } from '../setup/server.ts';

const here = engines.some(({ name }) => name === 'sqlite');

describe.skipIf(!here)('a moment between two backups on SQLite (needs the sqlite engine)', () => {
  it('comes back with everything of then, and nothing of later', { timeout: 120_000 }, async () => {
    await using storage = await freshStorage({ name: 'sqlite' });
    const env = {
      AUTHSERVER_BACKUP_PLAINTEXT: 'true',
      AUTHSERVER_RECOVERY_INTERVAL: '100ms',
      AUTHSERVER_RECOVERY_LOG: 'true',
    };
    await using server = await startServer({ storage, env });
    const run = async (...args: string[]) => answerOf(await server.cli([...args, '--json']));
    await run('admin', 'user', 'create', 'early', '--no-password');
    const { id } = await run('backup', 'create');
    await run('admin', 'user', 'create', 'late', '--no-password');
    const then = new Date().toISOString();
    await run('admin', 'user', 'delete', 'early', '--yes');
    await run('admin', 'user', 'create', 'latest', '--no-password');
    const moment = Date.parse(then);
    await vi.waitFor(
      async () => {
        const status = await run('recovery', 'status');
        expect(status).toMatchObject({ engine: 'sqlite', ok: true, recovery_lag_seconds: 0, findings: [] });
      },
      { timeout: 30_000, interval: 200 },
    );
    expect(await server.stop()).toBe(0);
    const { window } = await run('recovery', 'status');
    expect(window.from).toBeLessThan(moment);
    expect(window.to).toBeGreaterThan(moment);
    const { windows } = await run('backup', 'list');
    expect(windows).toEqual([window]);

    const receipt = await run('restore', id, '--to', then, '--yes');
    expect(receipt.restored_to).toBe(moment);
    await server.start();
    const users = await run('admin', 'user', 'list');
    const names = users.items.map(({ username }: { username: string }) => username);
    // Who was removed since stays removed, and what was made since is gone.
    expect(names.sort()).toEqual(['late']);
  });
});
