import type { Drill, DrillBench } from './drill.ts';
import type { Scene } from './ground.ts';
import { beginLife, checkToken, makeBackup } from './life.ts';

/** ms */
const YEAR = 365 * 86_400_000;

export const clockJump: Drill = {
  name: 'clock-jump',
  summary: 'The clock runs a year ahead for a while, and is set right again.',
  async run(bench) {
    const { ground, recorder } = bench;
    const life = await beginLife(bench);
    const keys = new Set(await ground.keyFiles());
    const backups = [(await makeBackup(bench, life.scene, { verify: true })).id];
    await life.scene[Symbol.asyncDispose]();
    await recorder.step('the clock jumps a year ahead', async (say) => {
      await using ahead = await ground.serve(YEAR);
      await ahead.lookAfterKeys();
      // One that was published meanwhile is a key like any other.
      for (const kid of await ground.keyFiles()) keys.add(kid);
      backups.push((await ahead.backup({ verify: true })).id);
      recorder.lost();
      say(`The server has looked after its keys, and made the backup ${backups.at(-1)}.`);
    });
    const scene = await recorder.step('the clock is right again, and a client is served', async (say) => {
      const again = await ground.serve();
      await again.lookAfterKeys();
      await again.canary();
      recorder.served();
      say('It has signed in, redeemed a code, refreshed and revoked.');
      return again;
    });
    recorder.missing(0);
    await recorder.check('no key is lost', async (find) => {
      const now = await ground.keyFiles();
      const gone = [...keys].filter((kid) => !now.includes(kid));
      if (gone.length > 0) find(`Gone: ${gone.join(', ')}.`);
      await scene.checkToken(await scene.sign());
      return `${now.length} private keys, and the server signs.`;
    });
    await checkToken(bench, scene, life.token);
    backups.push((await makeBackup(bench, scene, { verify: true })).id);
    await checkPrune(bench, scene, backups);
  },
};

/** The rules of the copy keep one backup, so that there is something to remove. */
function checkPrune(
  { ground, recorder }: DrillBench,
  scene: Scene,
  backups: readonly string[],
): Promise<void> {
  return recorder.check('the removal of old backups stops', async (find) => {
    const { removed, stopped } = await ground.recovery.prune(scene);
    const gone = backups.filter((id) => removed.includes(id));
    if (gone.length > 0) find(`Removed, though the clock was wrong: ${gone.join(', ')}.`);
    if (stopped === null) find('It saw nothing wrong with the clock.');
    return stopped ?? undefined;
  });
}
