// Real processes, killed while they rotate: whatever the moment, the next start finds a set of keys that works.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { migrateSchema, openStore, type StorageChoice } from '../../src/app/open-store.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { times } from '../faults/scale.ts';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';
import { Rig } from './rig.ts';

const KILLS = times(6, 200);
const CHILD = path.join(import.meta.dirname, 'rotating-child.ts');

interface Issued {
  readonly jwt: string;
  readonly now: number;
}

/** Lets a process rotate for some tokens, and kills it soon after; the last token that it has told of. */
async function killed(
  choice: StorageChoice,
  folder: string,
  { start, tokens }: { start: number; tokens: number },
): Promise<Issued> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(choice), folder, String(start)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const issued: Issued[] = [];
  const enough = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    issued.push(JSON.parse(line) as Issued);
    if (issued.length >= tokens) enough.resolve();
  });
  const closed = once(child, 'close');
  await Promise.race([enough.promise, closed]);
  await sleep(Math.random() * 40);
  child.kill('SIGKILL');
  await closed;
  const last = issued.at(-1);
  if (last === undefined) throw new Error('The process ended before it had signed.');
  return last;
}

describeEngines('a process that is killed while it rotates', (engine) => {
  test(`leaves keys that work, ${KILLS} times of ${KILLS}`, { timeout: KILLS * 20_000 }, async () => {
    await using storage = await freshStorage(engine);
    const folder = await mkdtemp(path.join(tmpdir(), 'authserver-killed-'));
    const choice = storageChoice(storage);
    await migrateSchema(choice, { clock: systemClock, random: systemRandom });
    let now = 1_900_000_000_000;
    let rotated = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const last = await killed(choice, folder, { start: now, tokens: 1 + (kill % 3) });
      const rig = await Rig.on(await openStore(choice, silentLog), undefined, folder);
      const rows = await rig.store.keys.list({});
      rig.clock.moveTo(last.now);
      const ring = await rig.open({ isNew: false });
      expect(await rig.store.keys.list({})).toEqual(rows);
      // Its time may have gone on an hour or two since that token: the keys were right to go on too.
      const kid = JSON.parse(Buffer.from(last.jwt.split('.')[0] ?? '', 'base64url').toString()).kid;
      const state = rows.find((row) => row.kid === kid)?.state;
      expect(['active', 'retiring', 'retired']).toContain(state);
      expect(await ring.verify(last.jwt, 'at+jwt', { past: true })).toBeDefined();
      if (state === 'active') expect(await ring.verify(last.jwt)).toBeDefined();
      const { findings } = await ring.management.verify();
      expect(findings.filter((finding) => !finding.ok && finding.state !== 'unknown')).toEqual([]);
      rotated = rows.length;
      now = last.now + 4 * 3_600_000;
      ring.close();
      if (kill + 1 < KILLS) await rig.store.close();
      else await rig[Symbol.asyncDispose]();
    }
    expect(rotated).toBeGreaterThan(KILLS / 2);
  });
});
