// Runs one check of the fault suite on a source with a bug in it: `node try-check.ts CHECK CHANGES`, the changes as JSON. It
// says what came of it in one line of JSON.

import { writeSync } from 'node:fs';
import type { CheckName } from '../checks.ts';
import { type Change, SeedDoesNotFit, seed } from './seed.ts';

export interface Outcome {
  readonly outcome: 'passed' | 'failed' | 'does not fit';
  /** Why it failed. */
  readonly message: string;
}

/** Where a check fails, how does not matter; but the seeding must not. */
async function attempt(name: CheckName, changes: readonly Change[]): Promise<Outcome> {
  const { missed } = seed(changes);
  try {
    const { CHECKS } = await import('../checks.ts');
    await CHECKS[name]({ name: 'sqlite' });
  } catch (error) {
    const outcome = error instanceof SeedDoesNotFit ? 'does not fit' : 'failed';
    return { outcome, message: error instanceof Error ? error.message : String(error) };
  }
  if (missed().length === 0) return { outcome: 'passed', message: '' };
  return { outcome: 'does not fit', message: `nobody has loaded ${missed().join(', ')}` };
}

const [name = '', changes = '[]'] = process.argv.slice(2);
const outcome = await attempt(name as CheckName, JSON.parse(changes) as Change[]);
writeSync(1, `${JSON.stringify(outcome)}\n`);
// A check that failed may have left something open.
process.exit(0);
