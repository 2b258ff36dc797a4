import { expect, it } from 'vitest';
import { describeEngines, freshStorage } from '../../../test/setup/engines.ts';
import { migrateFresh, storageChoice } from '../../../test/setup/fresh-store.ts';
import { withSchema } from '../../app/open-store.ts';
import { timeline } from '../../store/migrations/timeline.ts';
import { Findings } from './proof.ts';
import { compareSchema, compareTables } from './tables.ts';

describeEngines('a schema that is held to its steps', (engine) => {
  it('is whole after a migration, and lacks whatever was dropped since', async () => {
    await using fresh = await freshStorage(engine);
    await migrateFresh(fresh);
    const findings = new Findings();
    await withSchema(storageChoice(fresh), {}, async (db) => {
      await compareSchema(db, timeline, findings);
      expect(findings.found).toEqual([]);
      await db.run('drop index signing_keys_one_active');
      await db.run('drop table consents');
      await compareSchema(db, timeline, findings);
    });
    expect(findings.found).toContain('The index signing_keys_one_active is missing from the schema.');
    expect(findings.found).toContain('The table consents is missing from the schema.');
    expect(findings.found).toContain('The column consents.scope is missing from the schema.');
  });
});

it('finds tables that are not those of the manifest: empty, other, missing, and one too many', () => {
  const table = (name: string, rows: number, digest: string) => ({
    name,
    rows,
    digest,
    columns: [],
    key: [],
  });
  const findings = new Findings();
  const manifest = {
    tables: [table('a', 3, 'x'), table('b', 1, 'y'), table('c', 0, 'z'), table('d', 1, 'w')],
  };
  const totals = [
    { table: 'a', rows: 0, digest: 'x' },
    { table: 'b', rows: 1, digest: 'other' },
    { table: 'd', rows: 1, digest: 'w' },
    { table: 'e', rows: 0, digest: '' },
  ];
  compareTables(manifest, totals, findings);
  expect(findings.found).toEqual([
    'The table a has 0 rows instead of 3.',
    'The table b has other content than the manifest says.',
    'The table c is missing.',
    'The manifest does not know the table e.',
  ]);
});
