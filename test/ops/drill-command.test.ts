// `authserver drill` from outside: beside a server and without one, with the recovery key, and what is left of it.

import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DrillReport } from '../../src/ops/drill/report.ts';
import { runSql } from '../purge/fixture.ts';
import { type Engine, engines, freshStorage } from '../setup/engines.ts';
import { type Outcome, TestServer } from '../setup/server.ts';

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

    test('says before it begins that there is no database, or no place for the page', {
      timeout: 60_000,
    }, async () => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' } });
      const restore = expect.stringContaining('authserver restore --latest --recovery-key FILE');
      const refused = { exit: 3, code: 'refused', hint: restore };
      for (const words of ['drill run host-loss', 'recovery status'])
        expect(failed(await server.cli([...words.split(' '), '--json'])), words).toMatchObject(refused);

      await server.start();
      const started = performance.now();
      for (const page of ['/nonexist/page.html', server.stateDir])
        expect(
          failed(await server.cli(['drill', 'run', 'host-loss', '--html', page, '--json'])),
        ).toMatchObject({ exit: 2, message: expect.stringContaining(page) });
      expect(await lines(server, ['drill', 'list'])).toMatchObject([{ items: [] }]);
      expect(performance.now() - started).toBeLessThan(10_000);
      await server.stop();

      // The state directory knows by now what should be there.
      if (storage.driver === 'sqlite') await rm(storage.path);
      for (const words of ['drill run host-loss', 'recovery status', 'backup list'])
        expect(failed(await server.cli([...words.split(' '), '--json'])), words).toMatchObject(refused);
      const doctor = await server.cli(['doctor', '--only', 'database', '--json']);
      expect(JSON.parse(doctor.stdout).findings).toMatchObject([{ status: 'fail', hint: restore }]);
    });

    test('that does not pass ends with 1, page or no page, and the list says why', {
      timeout: 120_000,
    }, async () => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' } });
      await server.start();
      await server.stop();
      using _ = withoutBackups(path.join(server.stateDir, 'scratch'));
      const run = await server.cli(['drill', 'run', 'host-loss', '--html', '/dev/full', '--json']);
      expect(JSON.parse(run.stdout)).toMatchObject({ passed: false });
      expect(failed(run)).toMatchObject({
        exit: 1,
        message: expect.stringContaining('The drill host-loss did not pass'),
        detail: expect.stringContaining('The page cannot be written to /dev/full (ENOSPC).'),
      });
      const [step] = (JSON.parse(run.stdout) as DrillReport).steps.filter(
        ({ outcome }) => outcome === 'failed',
      );
      const [list] = await lines(server, ['drill', 'list']);
      const { name, detail } = step ?? {};
      expect(list).toMatchObject({ items: [{ passed: false, failed: [{ name, detail }] }] });
      expect((await server.cli(['drill', 'list'])).stdout).toContain(`failed: ${name}: ${detail}`);
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

/** Somebody clears away the backups of the copy all the time, so that no drill can pass. */
function withoutBackups(scratch: string): Disposable {
  const clear = async () => {
    for (const name of await readdir(scratch, { recursive: true }).catch(() => []))
      if (name.endsWith('.tar.zst.age')) await rm(path.join(scratch, name), { force: true });
  };
  const timer = setInterval(() => void clear(), 5);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** How a command failed, and its exit code. */
function failed({ code, stderr }: Outcome): object {
  return { exit: code, ...JSON.parse(stderr.trim().split('\n').at(-1) ?? '').error };
}

async function opsChecks(server: TestServer): Promise<unknown> {
  const response = await fetch(`${server.adminUrl}/ready?ops`);
  return ((await response.json()) as { checks: unknown }).checks;
}
