// `authserver drill` from outside: beside a server and without one, with the recovery key, and what is left of it.

import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DrillReport } from '../../src/ops/drill/report.ts';
import { runSql } from '../purge/fixture.ts';
import { type Engine, engines, freshStorage } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';

const engine = { name: 'sqlite' } as const satisfies Engine;

// Commands and their processes; what they do has its tests on both engines beside this one.
describe.skipIf(!engines.some(({ name }) => name === engine.name))(
  'authserver drill (needs the sqlite engine)',
  () => {
    test('rehearses beside a server that serves, and keeps a signed report of it', {
      timeout: 300_000,
    }, async () => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({
        storage,
        env: {
          AUTHSERVER_BACKUP_SCHEDULE: 'off',
          AUTHSERVER_DRILL_SCHEDULE: '0 4 1 * *',
          AUTHSERVER_RECOVERY_INTERVAL: '100ms',
          AUTHSERVER_RECOVERY_LOG: 'true',
        },
      });
      await server.start();
      expect(await lines(server, ['drill', 'list'])).toMatchObject([{ items: [], drills: { length: 6 } }]);
      expect((await server.cli(['drill', 'run', 'host-los'])).stderr).toContain('Did you mean host-loss?');

      const page = path.join(server.stateDir, 'page.html');
      const [first] = await lines<DrillReport>(server, ['drill', 'run', 'clock-jump', '--html', page]);
      expect(first).toMatchObject({ drill: 'clock-jump', passed: true, source: { backup: null } });
      expect(await readFile(page, 'utf8')).toContain('Content-Security-Policy');

      // The same with what only the recovery key opens: the newest proven backup.
      const sheet = path.join(server.stateDir, 'sheet.txt');
      await writeFile(sheet, server.recoverySheet, { mode: 0o600 });
      const [made] = await lines<{ id: string; outcome: string }>(server, ['backup', 'create']);
      expect(made?.outcome).toBe('verified');
      await server.stop();
      const [second] = await lines<DrillReport>(server, [
        'drill',
        'run',
        'host-loss',
        '--recovery-key',
        sheet,
      ]);
      expect(second).toMatchObject({ passed: true, source: { backup: made?.id } });

      const [list] = await lines<{ items: Record<string, unknown>[] }>(server, ['drill', 'list']);
      expect(list?.items.map(({ id, believed }) => [id, believed])).toEqual([
        [second?.id, true],
        [first?.id, true],
      ]);
      const folder = path.join(server.stateDir, 'drills');
      const files = [`${first?.id}.html`, `${first?.id}.json`, `${second?.id}.html`, `${second?.id}.json`];
      expect((await readdir(folder)).sort()).toEqual(files.sort());
      for (const name of files) expect((await stat(path.join(folder, name))).mode & 0o777).toBe(0o600);
      expect(await readdir(path.join(server.stateDir, 'scratch'))).toEqual([]);

      const [last] = await runSql(storage, "select value from settings where name = 'drill.last'");
      expect(JSON.parse(String(last?.['value']))).toEqual({
        at: second?.at,
        name: 'host-loss',
        passed: true,
        rpo: second?.rpo_ms,
        rto: second?.rto_ms,
      });
      const events = await runSql(storage, "select actor from audit_events where action = 'drill.passed'");
      expect(events).toEqual([{ actor: 'admin:operator' }, { actor: 'admin:operator' }]);
      const [doctor] = await lines<{ findings: { check: string; status: string }[] }>(server, [
        'doctor',
        '--only',
        'drills',
      ]);
      expect(doctor?.findings).toMatchObject([{ check: 'drills', status: 'ok' }]);

      // A report that somebody has changed is listed, and counts for nothing.
      const forged = path.join(folder, `${first?.id}.json`);
      await writeFile(forged, (await readFile(forged, 'utf8')).replace('clock-jump', 'host-loss'));
      const [after] = await lines<{ items: Record<string, unknown>[] }>(server, ['drill', 'list']);
      expect(after?.items[1]).toMatchObject({ id: null, believed: false, file: forged });
    });

    test('is overdue only where drills are scheduled', { timeout: 120_000 }, async () => {
      await using storage = await freshStorage(engine);
      const env = { AUTHSERVER_BACKUP_SCHEDULE: 'off', AUTHSERVER_DRILL_MAX_AGE: '1h' };
      await using server = await TestServer.prepare({ storage, env });
      await server.start();
      await runSql(storage, 'update deployment set created_at = 1');
      expect(await opsChecks(server)).toMatchObject({ drill: { ok: true } });
      await server.stop();
      await using again = await TestServer.prepare({
        storage,
        env: { ...env, AUTHSERVER_DRILL_SCHEDULE: '0 4 1 * *', AUTHSERVER_STATE_DIR: server.stateDir },
      });
      await again.start();
      expect(await opsChecks(again)).toMatchObject({
        drill: {
          ok: false,
          problem: expect.stringMatching(/^no drill has passed for .*; drill.max_age is 1h$/),
        },
      });
      const metrics = await (await fetch(`${again.adminUrl}/metrics`)).text();
      expect(metrics).toMatch(/^authserver_drill_overdue 1$/m);
    });
  },
);

async function lines<Answer = unknown>(server: TestServer, args: string[]): Promise<readonly Answer[]> {
  const { code, stdout, stderr } = await server.cli([...args, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer);
}

async function opsChecks(server: TestServer): Promise<unknown> {
  const response = await fetch(`${server.adminUrl}/ready?ops`);
  return ((await response.json()) as { checks: unknown }).checks;
}
