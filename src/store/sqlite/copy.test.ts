import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectWriter } from './connect.ts';
import { copyDatabase } from './copy.ts';

const ROWS = 2000;
let folder: string;
let source: string;
let target: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'authserver-copy-'));
  source = path.join(folder, 'a.db');
  target = `${source}.before-2`;
  const db = connectWriter({ path: source, wal: true });
  db.exec('create table notes (id integer primary key, text text not null)');
  const insert = db.prepare('insert into notes (text) values (?)');
  db.exec('begin');
  for (let i = 0; i < ROWS; i++) insert.run(`note ${i} `.repeat(20));
  db.exec('commit');
  db.close();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('copies what is committed, the log beside the file included, for the owner alone', () => {
  using writer = connectWriter({ path: source, wal: true });
  writer.exec("insert into notes (text) values ('in the log only')");
  expect(copyDatabase(source, target)).toEqual({
    file: target,
    tables: 1,
    rows: ROWS + 1,
  });
  expect(statSync(target).mode & 0o777).toBe(0o600);
  using copy = new DatabaseSync(target);
  expect(copy.prepare('select max(text) as text from notes where id > 2000').get()).toEqual({
    text: 'in the log only',
  });
});

it('replaces a copy that holds the same, and no other', () => {
  expect(copyDatabase(source, target).file).toBe(target);
  expect(copyDatabase(source, target).file).toBe(target);
  const db = connectWriter({ path: source, wal: true });
  db.exec('delete from notes where id = 1');
  db.close();
  expect(copyDatabase(source, target)).toMatchObject({ file: `${target}.2`, rows: ROWS - 1 });
  expect(copyDatabase(source, target).file).toBe(`${target}.2`);
  using first = new DatabaseSync(target);
  expect(first.prepare('select count(*) as rows from notes').get()).toEqual({ rows: ROWS });
});

it('replaces what a killed copy left', () => {
  writeFileSync(`${target}.tmp`, 'half a copy');
  writeFileSync(`${target}.tmp-journal`, 'a log that would undo the next copy');
  expect(copyDatabase(source, target)).toMatchObject({ rows: ROWS });
  expect(existsSync(`${target}.tmp`)).toBe(false);
  expect(existsSync(`${target}.tmp-journal`)).toBe(false);
});

it('leaves nothing under the name of the copy when the database is damaged', () => {
  const bytes = readFileSync(source);
  bytes.fill(0xff, bytes.length / 2, bytes.length / 2 + 8192);
  writeFileSync(source, bytes);
  expect(() => copyDatabase(source, target)).toThrow(/malformed|damaged|rows in/);
  expect(existsSync(target)).toBe(false);
  expect(existsSync(`${target}.tmp`)).toBe(false);
});
