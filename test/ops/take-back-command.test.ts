// `restore --only`, `backup extract` and `backup diff` as an operator types them, with a server that serves and without one.

import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DiffReport } from '../../src/app/reinstate/diff.ts';
import type { Difference } from '../../src/ops/reinstate/difference.ts';
import type { ReinstateReport } from '../../src/ops/reinstate/report.ts';
import { type Engine, engines, freshStorage } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';

const PATIENCE = 120_000;
const PASSWORD = 'correct horse battery staple';

const engine = { name: 'sqlite' } as const satisfies Engine;

// Commands and their processes; what they do has its tests on both engines beside this one.
describe.skipIf(!engines.some(({ name }) => name === engine.name))(
  'one thing out of a backup (needs the sqlite engine)',
  () => {
    test('is compared, looked at and taken back while the server serves, and without one', {
      timeout: PATIENCE,
    }, async () => {
      await using storage = await freshStorage(engine);
      const server = await TestServer.prepare({ storage, env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' } });
      const run = async (...args: string[]) => {
        const outcome = await server.cli([...args, '--json']);
        const lines = outcome.stdout.split('\n').filter((line) => line !== '');
        return { ...outcome, answers: lines.map((line) => JSON.parse(line) as unknown) };
      };
      const ask = async <T>(...args: string[]): Promise<T> => {
        const { code, stderr, answers } = await run(...args);
        expect(code, `${args.join(' ')}: ${stderr}`).toBe(0);
        return answers.at(-1) as T;
      };
      try {
        await server.start();
        const sheet = path.join(server.stateDir, 'sheet.txt');
        await writeFile(sheet, server.recoverySheet, { mode: 0o600 });
        const key = ['--recovery-key', sheet];
        const { code } = await server.cli(['admin', 'user', 'create', 'eve', '--password-stdin'], PASSWORD);
        expect(code).toBe(0);
        const { client_id, client_secret } = await ask<{ client_id: string; client_secret: string }>(
          ...[
            'admin',
            'client',
            'create',
            '--name',
            'Shop',
            '--redirect-uri',
            'https://shop.example/callback',
          ],
        );
        const backup = (await ask<{ id: string }>('backup', 'create', '--no-verify')).id;

        await ask('admin', 'client', 'delete', client_id, '--yes');
        expect(await tokenStatus(server.url, client_id, client_secret)).toBe(401);
        const taken = ['restore', backup, '--only', `client:${client_id}`, ...key];
        const compared = await run(
          'backup',
          'diff',
          backup,
          'live',
          '--only',
          'clients,client_secrets',
          ...key,
        );
        const differences = compared.answers.slice(0, -1) as Difference[];
        expect(differences.map(({ table, change }) => [table, change])).toEqual([
          ['clients', 'removed'],
          ['client_secrets', 'removed'],
        ]);
        expect((compared.answers.at(-1) as DiffReport).first.name).toBe(backup);

        expect(await ask<ReinstateReport>(...taken, '--plan')).toMatchObject({ outcome: 'planned' });
        expect((await run(...taken)).code).toBe(3);
        expect((await run('admin', 'client', 'show', client_id)).code).toBe(6);
        expect(await ask<ReinstateReport>(...taken, '--yes')).toMatchObject({
          outcome: 'done',
          things: [{ kind: 'client', id: client_id, name: 'Shop', action: 'add', secrets: 1 }],
        });
        expect(await tokenStatus(server.url, client_id, client_secret)).toBe(400);

        await ask('admin', 'client', 'update', client_id, '--name', 'Another');
        const conflict = await run(...taken, '--yes');
        expect(conflict).toMatchObject({ code: 7, answers: [{ outcome: 'conflict' }] });
        expect(await ask(...taken, '--yes', '--on-conflict=replace')).toMatchObject({ outcome: 'done' });
        expect(await ask('admin', 'client', 'show', client_id)).toMatchObject({ client_name: 'Shop' });

        const file = path.join(server.stateDir, 'eve.json');
        const extract = ['backup', 'extract', 'user', 'eve', '--from', backup, ...key];
        await ask(...extract, '--output', file);
        expect((await stat(file)).mode & 0o777).toBe(0o600);
        expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
          kind: 'user',
          user: { username: 'eve' },
        });
        expect((await run(...extract, '--output', file)).code).toBe(3);
        expect((await run('backup', 'extract', 'organisation', 'x', '--from', backup, ...key)).code).toBe(2);
        expect((await run('backup', 'extract', 'user', 'nobody', '--from', backup, ...key)).code).toBe(6);
        expect((await run('backup', 'extract', 'user', 'eve', '--from', backup)).code).toBe(3);

        await ask('admin', 'user', 'delete', 'eve', '--yes');
        await server.stop();
        expect((await run('restore', backup, '--only', 'user:eve', '--into', 'x', ...key)).code).toBe(2);
        await ask('restore', backup, '--only', 'user:eve', '--yes', ...key);
        expect(await ask('admin', 'user', 'show', 'eve')).toMatchObject({ username: 'eve' });
      } finally {
        await server.dispose();
      }
    });
  },
);

/** How the token endpoint takes the client's credentials: 401 where it does not know them. */
async function tokenStatus(url: string, id: string, secret: string): Promise<number> {
  const credentials = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString(
    'base64',
  );
  const answer = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${credentials}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: 'x',
      redirect_uri: 'https://shop.example/callback',
      code_verifier: 'x'.repeat(43),
    }),
  });
  return answer.status;
}
