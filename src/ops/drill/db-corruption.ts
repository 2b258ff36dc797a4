import type { Drill } from './drill.ts';
import {
  beginLife,
  checkDigests,
  checkEnded,
  checkToken,
  checkWritten,
  makeBackup,
  restoreStep,
  serveAgain,
  workOn,
} from './life.ts';

export const dbCorruption: Drill = {
  name: 'db-corruption',
  summary: 'The database is damaged: pages of the file are overwritten, or a table is gone.',
  async run(bench) {
    const { ground, recorder } = bench;
    const life = await beginLife(bench);
    const { scene, written } = life;
    await makeBackup(bench, scene, { verify: false });
    await workOn(bench, life);
    await scene[Symbol.asyncDispose]();
    const before = await ground.digests();
    await recorder.step('the database is damaged', async (say) => {
      const what = await ground.disasters.damageDatabase();
      recorder.lost();
      say(what);
    });
    await recorder.check('the damage is noticed', async (find) => {
      const faults = await ground.faults();
      if (faults.length > 0) return `A look at it says: ${faults[0]}`;
      const refusal = await ground.refusal();
      if (!refusal) find('Neither a look at the database nor a start says that anything is wrong.');
      return refusal && `A start is refused: ${refusal.failure.message}`;
    });
    const restored = await restoreStep(bench, { removals: 'repeat' });
    await checkDigests(bench, before);
    const again = await serveAgain(bench);
    await checkWritten(bench, again, { written, safe: () => true, restored });
    await checkToken(bench, again, life.token);
    await checkEnded(bench, again, life.visit);
  },
};
