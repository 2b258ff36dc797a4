// What came out of a restore is held to the manifest: a database that lost its rows passes no verification.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Findings } from '../../../src/ops/verify/proof.ts';
import { compareTables } from '../../../src/ops/verify/tables.ts';

const NONE = createHash('sha256').digest('hex');
const MANY = createHash('sha256').update('many').digest('hex');
const EXPECTED = ['users', 'clients'].map((name) => ({
  name,
  columns: ['id'],
  key: ['id'],
  rows: 3,
  digest: MANY,
}));

export async function checkRestoredTables(): Promise<void> {
  const whole = EXPECTED.map(({ name: table, rows, digest }) => ({ table, rows, digest }));
  assert.deepEqual(findingsOf(whole), []);
  assert.equal(findingsOf(whole.map(({ table }) => ({ table, rows: 0, digest: NONE }))).length, 2, 'empty');
  assert.equal(findingsOf([]).length, 2, 'no tables');
  assert.equal(findingsOf(whole.map((total) => ({ ...total, digest: NONE }))).length, 2, 'other rows');
  assert.equal(findingsOf(whole.map((total) => ({ ...total, rows: 4 }))).length, 2, 'more rows');
}

function findingsOf(totals: Parameters<typeof compareTables>[1]): readonly string[] {
  const findings = new Findings();
  compareTables({ tables: EXPECTED }, totals, findings);
  return findings.found;
}
