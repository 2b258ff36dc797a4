import type { Drill } from './drill.ts';
import {
  beginLife,
  checkEnded,
  checkToken,
  checkWritten,
  makeBackup,
  restoreStep,
  serveAgain,
  workOn,
} from './life.ts';

export const hostLoss: Drill = {
  name: 'host-loss',
  summary: 'The machine is gone with database, keys and state; there are the backups and the recovery sheet.',
  async run(bench) {
    const { ground, recorder } = bench;
    const life = await beginLife(bench);
    const { scene, written } = life;
    const backup = await makeBackup(bench, scene, { verify: true });
    await workOn(bench, life);
    const secured = new Set(written);
    await recorder.step('the host is lost', async (say) => {
      // Nobody waits for this one to be anywhere else.
      written.push(await scene.write());
      await ground.disasters.loseHost(scene);
      recorder.lost();
      say('Database, keys and state directory are gone, just after a last write was acknowledged.');
    });
    const restored = await restoreStep(bench, { removals: 'repeat' });
    const again = await serveAgain(bench);
    const safe = ground.isLogged
      ? (write: (typeof written)[number]) => secured.has(write)
      : ({ at }: (typeof written)[number]) => at <= backup.from;
    await checkWritten(bench, again, { written, safe, restored });
    await checkToken(bench, again, life.token);
    await checkEnded(bench, again, life.visit);
  },
};
