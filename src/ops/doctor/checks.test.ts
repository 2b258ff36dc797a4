import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { Failure } from '../../kernel/errors.ts';
import { checks } from './checks.ts';
import { chooseChecks, examine } from './examine.ts';
import type { Sources } from './facts.ts';
import { machineCases } from './machine.test-kit.ts';
import { operatorCases } from './operator.test-kit.ts';
import { type Cases, look, sourcesOf, WELL } from './well.test-kit.ts';

const cases: Cases = { ...machineCases, ...operatorCases };

test('with a sound installation every check is content, and has nothing to hint at', async () => {
  const findings = await examine(checks, sourcesOf(WELL));
  expect(findings.filter(({ status, hint }) => status !== 'ok' || hint !== null)).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual(checks.map(({ id }) => id));
});

describe.each(checks.map(({ id }) => id))('%s', (id) => {
  test.each(cases[id] ?? [])('%s', async (_, changes, status, said) => {
    const finding = await look(id, changes);
    expect(finding).toMatchObject({ check: id, status });
    expect(finding.finding).toMatch(said);
    // Whatever is wrong comes with a next step; what is well comes with none.
    expect(Boolean(finding.hint)).toBe(status === 'warn' || status === 'fail');
  });
});

test('every check has its cases', () => {
  expect(Object.keys(cases).sort()).toEqual(checks.map(({ id }) => id).sort());
});

test('several troubles are one line, the worst first', async () => {
  const finding = await look('limits', { exposure: { rateLimit: false, guessingLimit: false } });
  expect(finding.status).toBe('fail');
  expect(finding.finding).toMatch(/^passwords may be guessed.*; requests are not limited$/);
  expect(finding.hint).toMatch(/auth_fail_max.*rate_limit\.enabled/);
});

test('what is not there is skipped with the reason, what cannot be looked at fails, and the others go on', async () => {
  const away = new Failure('unavailable', 'It does not answer.', {
    hint: 'Start it.',
    detail: 'ECONNREFUSED',
  });
  const sources = sourcesOf(WELL, {
    postgres: async () => ({ absent: 'the database is SQLite' }),
    backups: () => Promise.reject(away),
    modes: () => Promise.reject(new Error('EACCES: permission denied')),
  });
  const findings = await examine(checks, sources);
  const found = (id: string) => findings.find(({ check }) => check === id);
  expect(found('postgres-tools')).toMatchObject({
    status: 'skipped',
    finding: 'the database is SQLite',
    hint: null,
  });
  expect(found('backup-age')).toMatchObject({
    status: 'fail',
    finding: 'could not be examined: It does not answer (ECONNREFUSED)',
    hint: 'Start it.',
  });
  expect(found('file-modes')?.finding).toMatch(/EACCES/);
  expect(found('clock')?.status).toBe('ok');
});

test('each source is asked once, and only for checks that are chosen', async () => {
  const asked: string[] = [];
  const sources = Object.fromEntries(
    Object.entries(sourcesOf(WELL)).map(([name, source]) => [
      name,
      () => {
        asked.push(name);
        return source();
      },
    ]),
  ) as unknown as Sources;
  await examine(chooseChecks(checks, ['backup-targets', 'backup-age', 'clock']), sources);
  expect(asked).toEqual(['clock', 'backups']);
});

test('an unknown check is named with the one that was meant', () => {
  expect(() => chooseChecks(checks, ['clok'])).toThrow('There is no check "clok".');
  expect(() => chooseChecks(checks, [])).toThrow('No check is named.');
});

test('docs/operate/doctor.md has a row for each check, in their order, and no other', () => {
  const file = path.join(import.meta.dirname, '..', '..', '..', 'docs', 'operate', 'doctor.md');
  const rows = readFileSync(file, 'utf8').matchAll(/^\| `([a-z-]+)` \|/gm);
  expect([...rows].map(([, id]) => id)).toEqual(checks.map(({ id }) => id));
});
