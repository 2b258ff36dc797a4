import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeState } from './state-dir.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'authserver-state-dir-'));
});
afterEach(() => rm(folder, { recursive: true }));

it('writes over what a killed process has left half done', async () => {
  await writeFile(path.join(folder, 'note.json.tmp'), 'half of a longer not');
  writeState(folder, 'note.json', '{}');
  expect(await readFile(path.join(folder, 'note.json'), 'utf8')).toBe('{}');
});

it('follows no link that the user of the folder has put in its way', async () => {
  const theirs = path.join(folder, 'passwd');
  await writeFile(theirs, 'as it was');
  await symlink(theirs, path.join(folder, 'note.json.tmp'));
  writeState(folder, 'note.json', '{}');
  expect(await readFile(theirs, 'utf8')).toBe('as it was');
  expect(await readFile(path.join(folder, 'note.json'), 'utf8')).toBe('{}');
});
