// Expand and contract (docs/decisions/0010): whoever still runs the previous version must not notice the newer schema.

import { expect, it } from 'vitest';
import { timeline } from '../../src/store/migrations/timeline.ts';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { brokenStatements } from './compatibility.ts';
import { fixtureVersions, loadFixture, migrate, rowsOf, script, statementsOf } from './database.ts';
import { step } from './steps.ts';

const newest = timeline.at(-1)?.version ?? 0;
const [oldest = 1] = fixtureVersions;

describeEngines('the newest schema', (engine) => {
  it.each(fixtureVersions.filter((version) => version < newest))(
    'carries every statement of the program of version %i',
    async (version) => {
      await using fresh = await freshStorage(engine);
      await loadFixture(fresh, version);
      await migrate(fresh);
      const statements = statementsOf(version);
      expect(Object.keys(statements).length).toBeGreaterThan(50);
      expect(await brokenStatements(fresh, statements)).toEqual([]);
    },
  );
});

/** Steps that nobody may write; each breaks a program that is still running. */
const breaking = [
  {
    name: 'a column that is dropped',
    statements: ['alter table users drop column profile_json'],
    breaks: 'users.',
  },
  { name: 'a table that is dropped', statements: ['drop table login_failures'], breaks: 'login-failures.' },
  {
    name: 'a column that is renamed',
    statements: ['alter table sessions rename column ip to address'],
    breaks: 'sessions.',
  },
  {
    name: 'a column that must be given a value',
    // As a table that is made anew: a column alone cannot be added so while there are rows.
    statements: [
      'drop table assertion_jtis',
      'create table assertion_jtis (id text primary key, expires_at bigint not null, issuer text not null)',
    ],
    breaks: 'singles.consumeJti',
  },
] as const;

describeEngines('a step is caught that has', (engine) => {
  it.each(breaking)('$name', async ({ statements, breaks }) => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, oldest);
    await migrate(fresh);
    for (const text of statements) await script(fresh, text);
    const broken = await brokenStatements(fresh, statementsOf(oldest));
    expect(broken.join('\n')).toContain(breaks);
  });

  it.each([
    ['alter table sessions rename column ip to address', /a shape that change.ts does not know: alter table/],
    ['alter table sessions add column note text not null', /a value that no running program gives/],
  ])('%s', async (text, complaint) => {
    await using fresh = await freshStorage(engine);
    const steps = [...timeline, step(newest + 1, [text])];
    await expect(migrate(fresh, { timeline: steps })).rejects.toThrow(complaint);
    expect(await rowsOf(fresh)).toEqual(new Map());
  });
});
