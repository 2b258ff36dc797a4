import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { fromPostgres } from '../postgres/errors.ts';
import { fromSqlite } from '../sqlite/errors.ts';

const noRoom = {
  code: 'unavailable',
  message: 'There is no room left for the database.',
  hint: expect.stringContaining('Make room'),
};

test('a disk that is full is called full, on either engine', () => {
  using db = new DatabaseSync(':memory:');
  db.exec('create table t (x blob); pragma max_page_count = 3');
  let error: unknown;
  try {
    db.exec('insert into t values (zeroblob(100000))');
  } catch (thrown) {
    error = fromSqlite(thrown);
  }
  expect(error).toMatchObject(noRoom);
  const full = Object.assign(new Error('could not extend file: No space left on device'), { code: '53100' });
  expect(fromPostgres(full)).toMatchObject(noRoom);
  const crowded = Object.assign(new Error('too many connections'), { code: '53300' });
  expect(fromPostgres(crowded)).toMatchObject({ message: 'The database does not answer at the moment.' });
});
