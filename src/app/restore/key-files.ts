/** Private keys of an archive on their way to where they belong: under another name until the restore has happened. */
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import { SIGNING_KEY_FILE } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import type { Files } from './files.ts';
import type { KeyMove } from './journal.ts';

export interface ArchivedKeyFile {
  readonly name: string;
  readonly text: string;
}

const STAGED = '.restoring';
/** Staged, or on the way to be. */
const UNFINISHED = /\.pem\.restoring(\.tmp)?$/;
const BEFORE = '.before-restore-';
/** What the key store takes for a key. Names of an archive have no separators (archive/format.ts), so they lead nowhere else. */
const KEY_FILE = /^([A-Za-z0-9_-]{1,128})\.pem$/;

/** The id of the signing key that a file of this name holds; undefined for the name of anything else. */
export function keyIdOf(name: string): string | undefined {
  return KEY_FILE.exec(name)?.[1];
}

/** Where key files may have been staged. */
export function keyFolders(config: Config): readonly string[] {
  return [...new Set([config.signing.key_path, config.state_dir])];
}

/**
 * Writes the keys beside where they belong. What is there already and the same is left as it is.
 * Failures: `refused` for a name that is none of a key file; `configuration`, `unavailable`.
 */
export async function stageKeyFiles(
  files: Files,
  config: Config,
  keys: readonly ArchivedKeyFile[],
): Promise<readonly KeyMove[]> {
  const moves: KeyMove[] = [];
  for (const { name, text } of keys) {
    const target = placeOf(config, name);
    const present = await files.read(target);
    if (present === text) continue;
    const staged = target + STAGED;
    await files.makeFolder(path.dirname(target));
    await files.write(staged, text);
    moves.push({
      staged,
      target,
      kept: present === undefined ? null : await freeName(files, target + BEFORE),
    });
  }
  return moves;
}

/** Gives the staged files their names; what had them before is kept under others. Again and again ends the same. */
export async function moveKeyFiles(files: Files, moves: readonly KeyMove[]): Promise<void> {
  for (const { staged, target, kept } of moves) {
    if (!(await files.exists(staged))) continue;
    if (kept !== null && !(await files.exists(kept)) && (await files.exists(target))) {
      await files.move(target, kept);
    }
    await files.move(staged, target);
  }
}

/** Takes away what was staged and never got its name. */
export async function clearKeyFiles(files: Files, folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    for (const name of await files.names(folder)) {
      if (UNFINISHED.test(name)) await files.remove(path.join(folder, name));
    }
  }
}

function placeOf({ signing, state_dir }: Config, name: string): string {
  if (name === SIGNING_KEY_FILE) return path.join(state_dir, name);
  if (KEY_FILE.test(name)) return path.join(signing.key_path, name);
  throw new Failure(
    'refused',
    `The archive has a private key called ${JSON.stringify(name)}, which is no key file.`,
    {
      hint: 'It was written by a newer version, or by somebody else. Use that version, or another backup.',
    },
  );
}

async function freeName(files: Files, prefix: string): Promise<string> {
  for (let n = 1; ; n++) if (!(await files.exists(`${prefix}${n}`))) return `${prefix}${n}`;
}
