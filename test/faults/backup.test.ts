// A process that makes and prunes backups, killed again and again: what is listed is whole, what is gone has a receipt, and the
// next one finds nothing in its way and leaves nothing of those that died.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { makeBackupDesk } from '../../src/app/backup/desk.ts';
import { readReceipts } from '../../src/ops/backup/receipts.ts';
import { type Deployment, openDeployment } from '../ops/backup-kit.ts';
import { runSql } from '../purge/fixture.ts';
import { describeEngines } from '../setup/engines.ts';
import { ownEnvironment } from '../setup/server.ts';
import { backUpAndPrune } from './backup-runs.ts';
import { wholeBackups } from './checks/scene.ts';
import { times } from './scale.ts';

const KILLS = times(2, 300);
const CHILD = path.join(import.meta.dirname, 'backup-child.ts');
const KEEP = { LAST: '2', DAILY: '0', WEEKLY: '0', MONTHLY: '0' };

/** Kills it a moment after it has begun, which nobody can foresee. */
async function killed(env: Readonly<Record<string, string>>, delay: number): Promise<void> {
  const child = spawn(process.execPath, [CHILD], {
    env: { ...ownEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), closed]);
  await sleep(delay);
  expect(child.exitCode, 'it was under way').toBe(null);
  child.kill('SIGKILL');
  await closed;
}

async function receiptsIn(stateDir: string): Promise<readonly string[]> {
  const text = await readFile(path.join(stateDir, 'receipts.ndjson'), 'utf8').catch(() => '');
  return readReceipts(text).receipts.map(({ id }) => id);
}

const namesIn = (...place: string[]) => readdir(path.join(...place)).catch(() => []);

describeEngines('a process that makes and prunes backups', (engine) => {
  test(`that is killed ${KILLS} times leaves nothing half done`, { timeout: KILLS * 30_000 }, async () => {
    const rules = Object.entries(KEEP).map(([name, value]) => [`BACKUP_KEEP_${name}`, value]);
    const settings = { BACKUP_PLAINTEXT: 'true', BACKUP_MINIMUM: '1', ...Object.fromEntries(rules) };
    await using deployment = await openDeployment(engine, settings);
    const { stateDir, storage, rooms } = deployment;
    const desk = makeBackupDesk(rooms);
    const seen = new Set<string>();
    let whole = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      await killed(deployment.env, Math.random() * 700);
      const left = await listedIn(deployment);
      for (const id of left) seen.add(id);
      whole += left.length;
      const receipts = await receiptsIn(stateDir);
      expect([...seen].filter((id) => !left.includes(id) && !receipts.includes(id))).toEqual([]);

      // Its leases would run out within a minute.
      await runSql(storage, 'delete from leases');
      const { made, pruned } = await backUpAndPrune(desk);
      expect([made.outcome, pruned.targets[0]?.outcome]).toEqual(['verified', 'pruned']);
      const now = await listedIn(deployment);
      for (const id of now) seen.add(id);
      expect(now.at(-1)).toBe(made.id);
      expect(now.length).toBeLessThan(4);
      expect([await namesIn(stateDir, 'spool'), await namesIn(stateDir, 'scratch')]).toEqual([[], []]);
    }
    expect(whole).toBeGreaterThan(0);
  });
});

async function listedIn({ desk }: Deployment): Promise<readonly string[]> {
  const [place] = await desk.places('local');
  if (!place) throw new Error('there is no target local');
  return (await wholeBackups(place.target, await desk.trust())).map(({ id }) => id);
}
