// When the backup before an upgrade is made, and what becomes of it: once, by whoever has the turn, and before any step.

import { expect, it } from 'vitest';
import { withSchema } from '../../src/app/open-store.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { Failure } from '../../src/kernel/errors.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { type ProvenBackup, type UpgradeReport, upgrade } from '../../src/ops/migrate.ts';
import type { Migration } from '../../src/store/migrations/migration.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';
import { ask, loadFixture } from './database.ts';
import { longTimeline, step } from './steps.ts';

/** Notes what is done to it, and what the database had then. */
function fakeBackup(fresh: FreshStorage, { fails = false } = {}) {
  const said: string[] = [];
  const backup: ProvenBackup = {
    intent: async () => '',
    async make(before) {
      const steps = await ask(fresh, 'select version from schema_migrations order by version');
      said.push(`made before ${before.step}, on ${steps.map(({ version }) => version).join(' ')}`);
      if (fails) throw new Failure('refused', 'It did not pass.');
      return {
        kept: { id: 'b', targets: [], proof: 'p', copy: null },
        undo: [{ say: 'back', command: null }],
        discard: async () => void said.push('discarded'),
      };
    },
  };
  return { backup, said };
}

function run(
  fresh: FreshStorage,
  { backup, timeline = longTimeline }: { backup: ProvenBackup; timeline?: readonly Migration[] },
): Promise<UpgradeReport> {
  const byHand = { hint: '', undo: () => [] };
  return withSchema(storageChoice(fresh), {}, (db) =>
    upgrade(db, {
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      timeline,
      backup,
      withoutBackup: false,
      byHand,
    }),
  );
}

describeEngines('the backup before an upgrade', (engine) => {
  it('is made by whoever has the turn, and by nobody who waited for it', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 2);
    const { backup, said } = fakeBackup(fresh);
    // On SQLite nobody else is there.
    const runs = engine.name === 'postgres' ? 3 : 1;
    const reports = await Promise.all(Array.from({ length: runs }, () => run(fresh, { backup })));
    expect(said).toEqual(['made before 3, on 1 2']);
    const [done, ...idle] = reports.sort((a, b) => b.steps.length - a.steps.length);
    expect(done).toMatchObject({ backup: { id: 'b' }, undo: [{ say: 'back' }] });
    expect(done?.steps.map(({ version }) => version)).toEqual(
      longTimeline.slice(2).map(({ version }) => version),
    );
    for (const report of idle) expect(report).toMatchObject({ steps: [], backup: null, undo: [] });
  });

  it('that is refused leaves every step untaken', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 2);
    const { backup } = fakeBackup(fresh, { fails: true });
    await expect(run(fresh, { backup })).rejects.toMatchObject({ code: 'refused' });
    expect(await ask(fresh, 'select version from schema_migrations')).toHaveLength(2);
  });

  it('is discarded where no step was taken after all', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 2);
    const { backup, said } = fakeBackup(fresh);
    const broken = step(9002, ['alter table there_is_none add column nickname text']);
    await expect(run(fresh, { backup, timeline: [...longTimeline.slice(0, 2), broken] })).rejects.toThrow();
    expect(said).toEqual(['made before 9002, on 1 2', 'discarded']);
  });
});
