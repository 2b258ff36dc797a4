// `authserver backup verify` from outside: through a server, beside one with the recovery key, and without one.

import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { VerifyReport } from '../../src/ops/verify/verify-report.ts';
import { type Engine, engines, freshStorage } from '../setup/engines.ts';
import { authserver, TestServer } from '../setup/server.ts';

const engine = { name: 'sqlite' } as const satisfies Engine;

// Commands and their processes; what they do has its tests on both engines beside this one.
describe.skipIf(!engines.some(({ name }) => name === engine.name))(
  'authserver backup verify (needs the sqlite engine)',
  () => {
    test('restores what the key opens, holds bytes to the record without it, and finds what is wrong', {
      timeout: 240_000,
    }, async () => {
      await using storage = await freshStorage(engine);
      const server = await TestServer.prepare({ storage, env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' } });
      const run = async (...args: string[]) => {
        const outcome = await authserver(['backup', ...args, '--json'], { env: server.env });
        const report = outcome.stdout === '' ? undefined : (JSON.parse(outcome.stdout) as VerifyReport);
        return { ...outcome, report };
      };
      await server.start();
      try {
        const sheet = path.join(server.stateDir, 'sheet.txt');
        await writeFile(sheet, server.recoverySheet, { mode: 0o600 });
        for (const _ of [1, 2]) expect(await run('create', '--no-verify')).toMatchObject({ code: 0 });

        const bytes = await run('verify');
        expect(bytes).toMatchObject({ code: 0, report: { outcome: 'passed' } });
        expect(bytes.report?.backups).toMatchObject([{ tried: 'bytes', marked: false, rto_ms: null }]);

        const tried = await run('verify', '--all', '--recovery-key', sheet);
        expect(tried.stderr).toBe('');
        expect(tried.report).toMatchObject({ outcome: 'passed', missing: [] });
        expect(tried.report?.backups.map((each) => [each.tried, each.marked])).toEqual([
          ['restored', true],
          ['restored', true],
        ]);
        expect(await readdir(path.join(server.stateDir, 'scratch'))).toEqual([]);

        const [first, second] = tried.report?.backups.map(({ id }) => id) ?? [];
        // The server heard of it, though it never saw the key: by the signed proofs.
        const ask = async (address: string) => {
          const headers = { authorization: `Bearer ${server.adminApiKey}` };
          return (await fetch(server.adminUrl + address, { headers })).text();
        };
        expect((await ask('/admin/audit?limit=100')).match(/"backup\.verified"/g)).toHaveLength(2);
        expect(await ask('/metrics')).toMatch(/^authserver_backup_size_bytes [1-9]/m);

        await server.stop();
        const folder = path.join(server.stateDir, 'backups');
        await flip(path.join(folder, `${second}.tar.zst.age`));
        const damaged = await run('verify', '--latest', '--recovery-key', sheet);
        expect(damaged).toMatchObject({ code: 1, report: { outcome: 'failed' } });
        expect(JSON.parse(damaged.stderr)).toMatchObject({ error: { code: 'failed' } });

        for (const name of await readdir(folder))
          if (name.startsWith(`${first}.`)) await rm(path.join(folder, name));
        const gone = await run('verify', '--read-data=1/7');
        expect(gone.code).toBe(1);
        expect(gone.report?.missing).toMatchObject([{ id: first, target: 'local' }]);

        const refused = await run('verify', String(second), '--all');
        expect(refused.code).toBe(2);
        expect((await run('verify', '00000009-20261122T000439Z-k3f9')).code).toBe(6);
      } finally {
        await server.dispose();
      }
    });
  },
);

async function flip(file: string): Promise<void> {
  const bytes = await readFile(file);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await writeFile(`${file}.new`, bytes);
  await rename(`${file}.new`, file);
}
