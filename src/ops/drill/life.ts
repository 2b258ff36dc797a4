/** What the drills have in common: a server in use before the disaster, and what has to hold of the one after it. */
import { Failure } from '../../kernel/errors.ts';
import type { DrillBench } from './drill.ts';
import type { MadeBackup, Restored, Scene, Visit, Written } from './ground.ts';

/** The copy in use. */
export interface Life {
  readonly scene: Scene;
  readonly visit: Visit;
  /** Signed before the disaster. */
  readonly token: string;
  /** What was acknowledged, in its order. */
  readonly written: Written[];
}

const WRITES = 3;

/** A server runs, somebody is signed in, a token is out, and rows have been written. */
export function beginLife({ ground, recorder }: DrillBench): Promise<Life> {
  return recorder.step('the copy is in use', async (say) => {
    const scene = await ground.serve();
    const visit = await scene.visit();
    const now = await visit.goesOn(scene.socket);
    // Otherwise it would be no news that they do not work afterwards.
    if (!now.session || !now.refresh) {
      throw new Failure('failed', 'Whoever has just signed in is not signed in.');
    }
    const token = await scene.sign();
    await scene.checkToken(token);
    const written = await writeSome(scene);
    say('Somebody has signed in, a token has been issued, users have been added.');
    return { scene, visit, token, written };
  });
}

export async function writeSome(scene: Scene): Promise<Written[]> {
  const written: Written[] = [];
  for (let n = 0; n < WRITES; n++) written.push(await scene.write());
  return written;
}

export function makeBackup(
  { recorder }: DrillBench,
  scene: Scene,
  { verify }: { readonly verify: boolean },
): Promise<MadeBackup> {
  return recorder.step(verify ? 'a backup is made and proven' : 'a backup is made', async (say) => {
    const made = await scene.backup({ verify });
    say(`${made.id}, of ${iso(made.from)}.`);
    return made;
  });
}

/** Adds to what was written, where a restore has to bring it back; it is on the shelf of the log afterwards. */
export async function workOn({ ground, recorder }: DrillBench, { scene, written }: Life): Promise<void> {
  if (!ground.isLogged) return;
  await recorder.step('work goes on after the backup', async (say) => {
    written.push(...(await writeSome(scene)));
    await scene.shipped();
    say(`${WRITES} more users; the recovery log has them.`);
  });
}

/** Starts a server on what was brought back, and ends the time without one when a client has been served. */
export function serveAgain({ ground, recorder }: DrillBench): Promise<Scene> {
  return recorder.step('a client is served', async (say) => {
    const scene = await ground.serve();
    await scene.canary();
    recorder.served();
    say('It has signed in, redeemed a code, refreshed and revoked.');
    return scene;
  });
}

/** What has to be there after a restore, and how much of what was acknowledged is not. */
export function checkWritten(
  { ground, recorder, limits }: DrillBench,
  scene: Scene,
  after: {
    readonly written: readonly Written[];
    /** So much of it has to be there, whatever the restore says of itself. */
    readonly safe: (write: Written) => boolean;
    readonly restored: Restored;
  },
): Promise<void> {
  return recorder.check('what was acknowledged is there', async (find) => {
    const { written, safe, restored } = after;
    const present = await scene.users(written.map(({ id }) => id));
    const missing = written.filter(({ id }) => !present.has(id));
    const lost = lostTime(written, present, restored.restoredTo);
    recorder.missing(lost);
    const due = missing.filter(safe);
    if (due.length > 0) find(`${due.length} writes are missing that had been secured before the disaster.`);
    const promised = missing.filter(({ at }) => at <= restored.restoredTo);
    if (promised.length > 0)
      find(
        `The restore says that it is the state of ${iso(restored.restoredTo)}, and ${promised.length} writes from before that are missing.`,
      );
    if (ground.isLogged && lost > limits.lag)
      find(
        `Of what had been acknowledged the last ${lost} ms are missing; recovery.max_lag is ${limits.lag} ms.`,
      );
    return `${written.length - missing.length} of ${written.length} writes of the drill.`;
  });
}

/** From the recovered state to the last write that was acknowledged, ms. */
function lostTime(
  written: readonly Written[],
  present: ReadonlyMap<string, unknown>,
  restoredTo: number,
): number {
  const first = written.findIndex(({ id }) => !present.has(id));
  if (first === -1) return 0;
  const firstMissing = written[first]?.at ?? 0;
  const lastThere = written[first - 1]?.at ?? 0;
  const recovered = Math.max(lastThere, Math.min(restoredTo, firstMissing));
  return (written.at(-1)?.at ?? 0) - recovered;
}

export function checkToken({ recorder }: DrillBench, scene: Scene, token: string): Promise<void> {
  return recorder.check('a token from before still verifies', async () => {
    await scene.checkToken(token);
    return 'By whoever knows the JWK set alone.';
  });
}

/** After a restore nobody is let in by what they had before it. */
export function checkEnded({ recorder }: DrillBench, scene: Scene, visit: Visit): Promise<void> {
  return recorder.check('nobody is signed in any more', async (find) => {
    const { session, refresh } = await visit.goesOn(scene.socket);
    if (session) find('A session from before the restore is still taken.');
    if (refresh) find('A refresh token from before the restore is still taken.');
    return 'Session and refresh token from before are refused.';
  });
}

/** The tables are as they were. No server may run. */
export function checkDigests(
  { ground, recorder }: DrillBench,
  before: ReadonlyMap<string, string>,
): Promise<void> {
  return recorder.check('every table is as it was', async (find) => {
    const after = await ground.digests();
    const other = [...before.keys()].filter((table) => after.get(table) !== before.get(table));
    if (other.length > 0) find(`Not as they were: ${other.join(', ')}.`);
    return `${before.size} tables, compared by their digests; what a restore has to change was left out.`;
  });
}

export function restoreStep(
  { ground, recorder }: DrillBench,
  wish: Parameters<typeof ground.recovery.restore>[0],
): Promise<Restored> {
  return recorder.step('the backup is restored', async (say) => {
    const restored = await ground.recovery.restore(wish);
    const state = `To the state of ${iso(restored.restoredTo)}. Sessions that were ended: ${restored.ended}.`;
    say([state, ...restored.notes].join(' '));
    return restored;
  });
}

export function iso(time: number): string {
  return new Date(time).toISOString();
}
