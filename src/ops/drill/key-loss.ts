import type { Drill, DrillBench } from './drill.ts';
import { beginLife, checkToken, makeBackup, serveAgain } from './life.ts';

export const keyLoss: Drill = {
  name: 'key-loss',
  summary: 'The files of the private keys are gone; the database is as it was.',
  idle({ keysAreFiles }) {
    if (keysAreFiles) return undefined;
    return 'The private keys of this installation are no files: they cannot be lost while the rest stays.';
  },
  async run(bench) {
    const { ground, recorder } = bench;
    const life = await beginLife(bench);
    const backup = await makeBackup(bench, life.scene, { verify: false });
    await life.scene[Symbol.asyncDispose]();
    const lost = await recorder.step('the private keys are lost', async (say) => {
      const kids = await ground.disasters.loseKeys();
      recorder.lost();
      say(`Gone: ${kids.join(', ')}.`);
      return kids;
    });
    await checkRefusal(bench, lost);
    await recorder.step('the keys come back from the backup', async (say) => {
      const back = await ground.recovery.recoverKeys(backup.id);
      say(`Back: ${back.join(', ') || 'none'}.`);
    });
    const scene = await serveAgain(bench);
    recorder.missing(0);
    await checkSameKeys(bench, lost);
    await checkToken(bench, scene, life.token);
    await recorder.check('everybody is still signed in', async (find) => {
      const { session, refresh } = await life.visit.goesOn(scene.socket);
      if (!session) find('A session from before is refused.');
      if (!refresh) find('A refresh token from before is refused.');
      return 'Session and refresh token from before are taken.';
    });
  },
};

/** A server must not start with other keys than it had, and has to say at once what it lacks. */
function checkRefusal({ ground, recorder, limits }: DrillBench, lost: readonly string[]): Promise<void> {
  return recorder.check('a start names the missing key, and refuses', async (find) => {
    const refusal = await ground.refusal();
    if (!refusal) {
      find('A server started, though its key is gone.');
      return undefined;
    }
    const { failure, after } = refusal;
    if (!lost.some((kid) => failure.message.includes(kid))) find(`It does not say which: ${failure.message}`);
    if (after > limits.naming) find(`It took ${after} ms to say so; ${limits.naming} ms are allowed.`);
    const made = await ground.keyFiles();
    if (made.length > 0) find(`A key was made in its place: ${made.join(', ')}.`);
    return `After ${after} ms: ${failure.message}`;
  });
}

function checkSameKeys({ ground, recorder }: DrillBench, lost: readonly string[]): Promise<void> {
  return recorder.check('the keys are those that were lost', async (find) => {
    const now = await ground.keyFiles();
    const missing = lost.filter((kid) => !now.includes(kid));
    const others = now.filter((kid) => !lost.includes(kid));
    if (missing.length > 0) find(`Still missing: ${missing.join(', ')}.`);
    if (others.length > 0) find(`Made meanwhile, which no verifier knows: ${others.join(', ')}.`);
    return `${now.length} private keys, and none besides.`;
  });
}
