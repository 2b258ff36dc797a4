import { setImmediate as nextTurn } from 'node:timers/promises';
import { Failure } from '../../kernel/errors.ts';
import type { Drill, DrillBench } from './drill.ts';
import type { Ground, Written } from './ground.ts';
import {
  beginLife,
  checkEnded,
  checkToken,
  checkWritten,
  iso,
  type Life,
  makeBackup,
  restoreStep,
  workOn,
} from './life.ts';

/** So many users are removed at most: where there are more, it is the same for the others. */
const MOST = 1000;

export const massDelete: Drill = {
  name: 'mass-delete',
  summary: 'Somebody who may removes all users through the admin API; the moment before it is brought back.',
  async run(bench) {
    const { ground, recorder } = bench;
    const life = await beginLife(bench);
    const { scene, written } = life;
    const barred = await scene.write();
    const backup = await makeBackup(bench, scene, { verify: false });
    await workOn(bench, life);
    const before = await recorder.step('a user is disabled', async (say) => {
      await scene.disable(barred.id);
      await scene.shipped();
      say('Before the disaster, and rightly so.');
      return momentBetween(ground);
    });
    const removed = await removeAll(bench, life, barred);
    await scene.shipped();
    await scene[Symbol.asyncDispose]();
    const restored = await restoreStep(
      bench,
      ground.isLogged ? { to: before, removals: 'disable' } : { backup: backup.id, removals: 'disable' },
    );
    const again = await letInAgain(bench, removed);
    await recorder.check('everybody is back', async (find) => {
      const there = await again.users(removed);
      if (there.size < removed.length)
        find(`${removed.length - there.size} of ${removed.length} users are missing.`);
      return `${there.size} users.`;
    });
    await recorder.check('what was taken away before stays so', async (find) => {
      const status = (await again.users([barred.id])).get(barred.id);
      if (status !== 'disabled') find(`The user who was disabled before is ${status ?? 'gone'}.`);
      return `The user who was disabled before ${iso(before)} is disabled.`;
    });
    await checkWritten(bench, again, { written, safe: () => true, restored });
    await checkToken(bench, again, life.token);
    await checkEnded(bench, again, life.visit);
  },
};

/** The moment of now, which nothing that follows belongs to any more, ms. */
async function momentBetween({ clock }: Ground): Promise<number> {
  const moment = clock.now();
  while (clock.now() <= moment) await nextTurn();
  return moment;
}

function removeAll(
  { recorder }: DrillBench,
  { scene, written }: Life,
  barred: Written,
): Promise<readonly string[]> {
  return recorder.step('all users are removed', async (say) => {
    const own = written.map(({ id }) => id);
    const removed = await scene.removeUsers([...own, barred.id], MOST);
    const left = await scene.users(removed);
    if (left.size > 0) throw new Failure('failed', `${left.size} users could not be removed.`);
    recorder.lost();
    say(`${removed.length}, each by a call of the admin API.`);
    return removed.filter((id) => id !== barred.id);
  });
}

/** A restore brings back whom somebody has removed disabled; whoever restores decides who is let in again. */
function letInAgain({ ground, recorder }: DrillBench, removed: readonly string[]) {
  return recorder.step('the users are let in again, and a client is served', async (say) => {
    const scene = await ground.serve();
    const disabled = [...(await scene.users(removed))].filter(([, status]) => status === 'disabled');
    for (const [id] of disabled) await scene.enable(id);
    await scene.canary();
    recorder.served();
    say(`${disabled.length} users enabled.`);
    return scene;
  });
}
