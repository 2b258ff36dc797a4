// The checks of the fault suite, on the source as it is. seeded-bugs.test.ts shows that each of them can fail.

import { describe, test } from 'vitest';
import { describeEngines } from '../setup/engines.ts';
import { checkSwapKilledAgain } from './checks/restore-swap.ts';
import { CHECKS, type CheckName, ON_ENGINES } from './checks.ts';

const PATIENCE = 240_000;
const names = Object.keys(CHECKS) as CheckName[];

describe('whatever the engine', () => {
  test.each(names.filter((name) => !ON_ENGINES.has(name)))('%s', { timeout: PATIENCE }, (name) =>
    CHECKS[name]({ name: 'sqlite' }),
  );

  test('a swap of files that is killed again at each start goes on to its end', checkSwapKilledAgain);
});

describeEngines('with a database', (engine) => {
  test.each([...ON_ENGINES])('%s', { timeout: PATIENCE }, (name) => CHECKS[name](engine));
});
