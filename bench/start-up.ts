/** How long the product takes to be ready, and what it holds when nobody asks anything of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { prepareOnSqlite, residentMemory } from './contenders.ts';
import { median } from './rounds.ts';

const STARTS = 5;
const IDLE_MS = 5000;

export interface StartUp {
  /** From spawning the command to its ready line, ms; median. */
  readonly readyMs: number;
  readonly readyMsOfEach: readonly number[];
  /** MB, this long after the last start. */
  readonly idleMemory: number;
}

/** On SQLite; the first start, which makes the database and the keys and fills the compile cache, does not count. */
export async function measureStartUp(running: AsyncDisposableStack): Promise<StartUp> {
  const server = running.use(await prepareOnSqlite());
  await server.start();
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    await server.stop();
    const from = performance.now();
    await server.start();
    times.push(performance.now() - from);
  }
  await sleep(IDLE_MS);
  const idleMemory = await residentMemory(server.pid);
  await server.stop();
  return { readyMs: median(times), readyMsOfEach: times, idleMemory };
}
