// Owns the promise that whatever was answered 2xx is on disk, as a test: SIGKILL under load, again and again, then the
// reckoning. One file an engine calls it, so that both engines suffer at the same time.

import { expect, it } from 'vitest';
import { type Engine, engines } from '../setup/engines.ts';
import { killRepeatedly } from './ordeal.ts';
import { times } from './scale.ts';

const DEADLINE = times(300_000, 3_600_000);

/** On SQLite the process that dies is the one that writes to the disk; on PostgreSQL it is not, and crash.test.ts adds to it. */
const KILLS = {
  sqlite: { strict: times(15, 400), retries: times(6, 100) },
  postgres: { strict: times(6, 200), retries: times(3, 50) },
};

export function provesKills(engine: Engine): void {
  const isLeftOut = !engines.some(({ name }) => name === engine.name);
  const prove = (kills: number, retries: boolean) => async () => {
    const { broken, acknowledged, lost } = await killRepeatedly(engine, { kills, retries });
    expect(broken).toEqual({});
    expect(acknowledged).toBeGreaterThan(10 * kills);
    // Otherwise nothing was under way when the server died, and nothing has been proven.
    expect(lost).toBeGreaterThan(kills);
  };
  const kills = KILLS[engine.name];
  const names = {
    strict: `${kills.strict} kills lose nothing that ${engine.name} acknowledged, and nothing spent works again`,
    retries: `${kills.retries} more on ${engine.name} end no sign-in whose client repeats what was not answered`,
  };
  if (isLeftOut) {
    const why = ' (skipped: AUTHSERVER_TEST_ENGINES leaves the engine out)';
    for (const name of Object.values(names)) it.skip(name + why);
    return;
  }
  it(names.strict, prove(kills.strict, false), DEADLINE);
  it(names.retries, prove(kills.retries, true), DEADLINE);
}
