/**
 * Rows on their way from the command that opens a backup, which has the key, to whoever has the database: in a file of the
 * state directory, because there may be more of them than a request holds, and they are read twice.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from '../../kernel/errors.ts';
import type { PickedRow } from '../../ops/reinstate/picker.ts';
import { giveToOwner } from '../state-dir.ts';

const FILE = /^rows_[0-9a-z]{26}\.ndjson$/;
/** What lies longer than this was left by a command that was killed, ms. */
const STALE = 86_400_000;

/** Writes the rows to a file that only this user, and the one that the state directory belongs to, can read. */
export async function layDown(
  stateDir: string,
  name: string,
  rows: AsyncIterable<PickedRow>,
  now: number,
): Promise<void> {
  const folder = folderOf(stateDir);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await sweep(folder, now);
    const file = fileOf(stateDir, name);
    await pipeline(Readable.from(linesOf(rows)), createWriteStream(file, { flags: 'wx', mode: 0o600 }));
    for (const place of [folder, file]) giveToOwner(place);
  } catch (cause) {
    throw cause instanceof Failure ? cause : unusable(folder, cause);
  }
}

/** The rows, as often as they are wanted. Failures: `configuration`. @param name that has been checked: it becomes part of a path */
export async function* laidDown(stateDir: string, name: string): AsyncGenerator<PickedRow, void> {
  const input = createReadStream(fileOf(stateDir, name));
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }))
      yield JSON.parse(line) as PickedRow;
  } catch (cause) {
    throw unusable(folderOf(stateDir), cause);
  } finally {
    input.destroy();
  }
}

export async function takeUp(stateDir: string, name: string): Promise<void> {
  await rm(fileOf(stateDir, name), { force: true });
}

async function* linesOf(rows: AsyncIterable<PickedRow>): AsyncGenerator<string> {
  for await (const row of rows) yield `${JSON.stringify(row)}\n`;
}

async function sweep(folder: string, now: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!FILE.test(name)) continue;
    const file = path.join(folder, name);
    const found = await stat(file).catch(() => undefined);
    if (found && found.mtimeMs < now - STALE) await rm(file, { force: true });
  }
}

function folderOf(stateDir: string): string {
  return path.join(stateDir, 'spool');
}

function fileOf(stateDir: string, name: string): string {
  return path.join(folderOf(stateDir), `${name}.ndjson`);
}

function unusable(folder: string, cause: unknown): Failure {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return new Failure('configuration', `Rows cannot be laid down in ${folder}, or taken up there (${code}).`, {
    hint: 'Run the command as the user that the server runs as; and is there room on that disk?',
    cause,
  });
}
