// The fault suite can find somebody guilty: bugs that it exists for are put into the source, one at a time, and the check that is
// to catch each has to fail on it. One that passes is a hole in the suite.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { engines } from '../setup/engines.ts';
import { CHECKS, type CheckName } from './checks.ts';
import { BUGS } from './seeded/bugs.ts';
import { type Change, SeedDoesNotFit, seeded } from './seeded/seed.ts';
import type { Outcome } from './seeded/try-check.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const CHILD = path.join(import.meta.dirname, 'seeded', 'try-check.ts');
const PATIENCE = 240_000;
const UNSEEDED: CheckName = 'a put into a folder, cut off at every step';
/** The checks of the bugs run on SQLite: what they are about is the same on both engines. */
const here = engines.some(({ name }) => name === 'sqlite');

async function tryCheck(name: CheckName, changes: readonly Change[]): Promise<Outcome> {
  const args = [CHILD, name, JSON.stringify(changes)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const line = said.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`the check said nothing: ${complained}`);
  return JSON.parse(line) as Outcome;
}

describe.skipIf(!here)('a bug in the source (needs the sqlite engine)', () => {
  test.concurrent.each(BUGS)(
    'is caught: $name',
    { timeout: PATIENCE },
    async ({ changes, caughtBy, says }) => {
      const { outcome, message } = await tryCheck(caughtBy, changes);
      expect([outcome, message]).toEqual(['failed', expect.stringMatching(says)]);
    },
  );

  // The others run on the source as it is in checks.test.ts; this is about the way of running them.
  test('is what makes a check fail: without one, it passes', { timeout: PATIENCE }, async () => {
    expect(await tryCheck(UNSEEDED, [])).toEqual({ outcome: 'passed', message: '' });
  });
});

describe('the seeding', () => {
  test('leaves no check without a bug that it catches', () => {
    expect([...new Set(BUGS.map(({ caughtBy }) => caughtBy))].sort()).toEqual(Object.keys(CHECKS).sort());
  });

  test.each(BUGS)('fits the source, exactly once, and changes it: $name', ({ changes }) => {
    for (const change of changes) {
      const source = readFileSync(path.join(ROOT, change.file), 'utf8');
      expect(seeded(source, change)).not.toBe(source);
    }
  });

  test('is refused where the source has moved on', () => {
    const change = { file: 'a.ts', snippet: 'x', instead: 'y' };
    expect(() => seeded('nothing', change)).toThrow(SeedDoesNotFit);
    expect(() => seeded('x x', change)).toThrow('2 times in a.ts');
    expect(seeded('a x b', change)).toBe('a y b');
  });

  test('of a file that no check loads is told from a bug that passed', { timeout: PATIENCE }, async () => {
    const unused = { file: 'src/cli/main.ts', snippet: 'import', instead: 'import' };
    const { outcome } = await tryCheck('tables that came out of a restore', [unused]);
    expect(outcome).toBe('does not fit');
  });
});
