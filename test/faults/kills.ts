// Owns the promise that whatever was answered 2xx is on disk, as a test: 50 times SIGKILL under load, then the reckoning.
// One file an engine calls it, so that both engines suffer at the same time.

import { expect, it } from 'vitest';
import { type Engine, engines } from '../setup/engines.ts';
import { killRepeatedly } from './ordeal.ts';

const DEADLINE = 300_000;

export function provesKills(engine: Engine): void {
  const isLeftOut = !engines.some(({ name }) => name === engine.name);
  const prove = (kills: number, retries: boolean) => async () => {
    const { broken, acknowledged, lost } = await killRepeatedly(engine, { kills, retries });
    expect(broken).toEqual({});
    expect(acknowledged).toBeGreaterThan(10 * kills);
    // Otherwise nothing was under way when the server died, and nothing has been proven.
    expect(lost).toBeGreaterThan(kills);
  };
  const names = {
    strict: `40 kills lose nothing that ${engine.name} acknowledged, and nothing spent works again`,
    retries: `10 more on ${engine.name} end no sign-in whose client repeats what was not answered`,
  };
  if (isLeftOut) {
    const why = ' (skipped: AUTHSERVER_TEST_ENGINES leaves the engine out)';
    for (const name of Object.values(names)) it.skip(name + why);
    return;
  }
  it(names.strict, prove(40, false), DEADLINE);
  it(names.retries, prove(10, true), DEADLINE);
}
