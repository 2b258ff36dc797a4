import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../../../test/setup/command.ts';
import { engines } from '../../../test/setup/engines.ts';
import { spoolFolder } from '../../store/change-spool.ts';
import { logStatus } from './status.ts';
import { openTwoTargets, rmIn, type TwoTargets } from './two-targets.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const MAX_LAG = 60_000;

describe.skipIf(!here)('the status of the recovery log on two targets (needs the sqlite engine)', () => {
  it('is wrong, and so is the exit code, while one of them is unusable', async () => {
    await using installed = await openTwoTargets();
    await installed.backup();
    await installed.commit();
    await installed.serve();
    const { code, stdout } = await runCommand(['recovery', 'status', '--json'], { env: installed.env });
    const status = JSON.parse(stdout);
    expect(status).toMatchObject({
      ok: false,
      recovery_lag_seconds: 0,
      window: { from: expect.any(Number) },
      findings: [{ level: 'error', hint: expect.stringContaining('away') }],
    });
    expect(status.findings[0].says).toMatch(/away.*cannot be used/);
    expect(code).toBe(1);
    const shown = await runCommand(['recovery', 'status'], { env: installed.env });
    expect(shown.code).toBe(1);
    expect(shown.stdout + shown.stderr).toMatch(
      /reaches the window below; something needs attention[\s\S]*ERROR: .*away/,
    );
  });

  it('is well while what both lack is young, and then names both', async () => {
    await using installed = await served();
    const { ok, findings } = await logStatus(installed.rooms.config);
    expect([ok, findings]).toEqual([true, []]);
    // What comes after that is on no target.
    await installed.commit();
    expect((await statusIn(installed, MAX_LAG - 10_000)).ok).toBe(true);
    const late = await statusIn(installed, MAX_LAG + 1000);
    expect(late).toMatchObject({ ok: false, findings: [{ level: 'error' }, { level: 'error' }] });
    expect(late.findings.map(({ says }) => says)).toEqual([named('near'), named('away')]);
    expect(late.recovery_lag_seconds).toBeGreaterThan(MAX_LAG / 1000);
  });

  it('names the one that has nothing of the log, once that is late', async () => {
    await using installed = await served();
    rmIn(installed.away, (name) => name.startsWith('log.'));
    expect((await statusIn(installed, 0)).findings).toEqual([]);
    const late = await statusIn(installed, MAX_LAG + 10_000);
    expect(late).toMatchObject({ ok: false, recovery_lag_seconds: 0, findings: [{ level: 'error' }] });
    expect(late.findings[0]?.says).toEqual(named('away'));
  });

  it('names it at once when what it lacks does not wait for it either', async () => {
    await using installed = await served();
    rmIn(installed.away, (name) => name.startsWith('log.'));
    rmSync(spoolFolder(installed.rooms.config.storage.sqlite.path), { recursive: true });
    const { ok, findings, recovery_lag_seconds: lag } = await statusIn(installed, 0);
    expect([ok, lag, ...findings.map(({ says }) => says)]).toEqual([false, 0, named('away')]);
  });
});

/** All that was committed is on both, with a backup that it goes on from. */
async function served(): Promise<TwoTargets> {
  const installed = await openTwoTargets({ isAwayUsable: true });
  await installed.backup();
  await installed.commit();
  await installed.serve();
  return installed;
}

/** As it will be so much later, ms. */
function statusIn({ rooms }: TwoTargets, later: number) {
  return logStatus(rooms.config, { now: () => Date.now() + later });
}

function named(target: string) {
  return expect.stringContaining(target);
}
