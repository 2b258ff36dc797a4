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
} from './life.ts';

export const badMigration: Drill = {
  name: 'bad-migration',
  summary: 'A migration damages rows and fails half way; the way back is the backup that was made before it.',
  async run(bench) {
    const { ground, recorder } = bench;
    const life = await beginLife(bench);
    const backup = await makeBackup(bench, life.scene, { verify: true });
    await life.scene[Symbol.asyncDispose]();
    const before = await ground.digests();
    await recorder.step('a migration goes wrong', async (say) => {
      const said = await ground.disasters.migrateBadly();
      recorder.lost();
      say(`It has changed rows, then failed: ${said}`);
    });
    await recorder.check('it has done harm', async (find) => {
      const refusal = await ground.refusal();
      if (refusal) return `No server starts on it: ${refusal.failure.message}`;
      const after = await ground.digests();
      const other = [...before.keys()].filter((table) => after.get(table) !== before.get(table));
      if (other.length === 0) find('All is as it was, so that there is nothing to undo.');
      return `Other than before: ${other.join(', ')}.`;
    });
    const restored = await restoreStep(bench, { backup: backup.id, removals: 'repeat' });
    await checkDigests(bench, before);
    const again = await serveAgain(bench);
    await checkWritten(bench, again, { written: life.written, safe: () => true, restored });
    await checkToken(bench, again, life.token);
    await checkEnded(bench, again, life.visit);
  },
};
