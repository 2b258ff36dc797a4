import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { asFailure, Failure, meansFull } from '../kernel/errors.ts';
import type { Config } from './config.ts';

/** What the server keeps in the state directory beside the database and the keys. */
export const stateFiles = {
  lock: 'lock',
  /** Who holds the lock; for people, proves nothing. */
  pid: 'pid',
  socket: 'admin.sock',
  /** Where the socket is when the path of the state directory is too long for one. */
  socketPath: 'admin.sock.path',
  /** The id of the deployment whose database this is. */
  deployment: 'deployment',
  /** The ready line of the running server; scripts wait for it. */
  ready: 'ready.json',
  /** The journal of a restore that is under way, or was when its process died. */
  restore: 'restore.json',
  /** What the last restore has put aside, for its undoing. */
  restored: 'restored.json',
  /** The folder of receipts of restores. */
  receipts: 'receipts',
  /** The folder of reports of drills. */
  drills: 'drills',
} as const;

/** The right to write what the settings name, held until it is released or the process ends, in whatever way. */
export interface StateLock extends Disposable {
  release(): void;
}

/** Makes the state directory, for its owner alone. Failures: `configuration` when it cannot be used. */
export function prepareStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw unusable(stateDir, cause);
  }
}

/**
 * For whoever forgot `sudo -u`: files that one may not see look as though they were not there, and what follows would be wrong
 * advice. Failures: `configuration`.
 */
export function checkAccess({ state_dir, storage }: Pick<Config, 'state_dir' | 'storage'>): void {
  checkReadable(state_dir, constants.R_OK | constants.X_OK);
  if (storage.driver === 'sqlite') checkReadable(storage.sqlite.path, constants.R_OK);
}

function checkReadable(place: string, mode: number): void {
  try {
    accessSync(place, mode);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') return;
    throw new Failure('configuration', `This user may not read ${place}.`, {
      detail: String(cause),
      hint: 'Run the command as the user of the server, such as: sudo -u authserver authserver ...',
      cause,
    });
  }
}

/**
 * Takes the lock of the state directory, and of an SQLite database that lies outside it; undefined when another process
 * has one of them. The directory must exist.
 */
export function tryLock({ state_dir, storage }: Config): StateLock | undefined {
  const held: DatabaseSync[] = [];
  const release = () => {
    for (const file of held) file.close();
  };
  try {
    for (const file of lockFiles(state_dir, storage)) {
      const lock = lockFile(file);
      if (lock === undefined) {
        release();
        return undefined;
      }
      held.push(lock);
    }
    notePid(state_dir);
  } catch (error) {
    release();
    throw error;
  }
  return { release, [Symbol.dispose]: release };
}

/** On a disk that is full there is no note of it: the commands that make room have to run. */
function notePid(stateDir: string): void {
  try {
    writeState(stateDir, stateFiles.pid, `${process.pid}\n`);
  } catch (error) {
    if (asFailure(error).code !== 'unavailable') throw error;
  }
}

/** The process that says it holds the lock. */
export function lockOwner(stateDir: string): string {
  const pid = readState(stateDir, stateFiles.pid)?.trim();
  return pid ? `process ${pid}` : 'another process';
}

/** The failure of whoever needs the lock and cannot have it. */
export function lockedFailure(stateDir: string): Failure {
  return new Failure('refused', `The state directory ${stateDir} belongs to ${lockOwner(stateDir)}.`, {
    hint: 'Stop that server first, or give this one a state directory of its own (AUTHSERVER_STATE_DIR).',
  });
}

/**
 * Writes a small file of the state directory: a reader sees the old or the new one, whatever moment the power goes.
 * Failures: `configuration`, `unavailable` where there is no room.
 */
export function writeState(stateDir: string, name: string, content: string): void {
  const target = path.join(stateDir, name);
  try {
    // What a killed process has left, or a link that somebody has put there: root must write to no file of theirs.
    rmSync(`${target}.tmp`, { force: true });
    const handle = openSync(`${target}.tmp`, 'wx', 0o600);
    try {
      writeFileSync(handle, content);
      fsyncSync(handle);
      giveToOwner(`${target}.tmp`);
    } finally {
      closeSync(handle);
    }
    renameSync(`${target}.tmp`, target);
    flushFolder(stateDir);
  } catch (cause) {
    letGoOf(`${target}.tmp`);
    throw unusable(stateDir, cause);
  }
}

/** Half a file takes room where there may be none. */
function letGoOf(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // It is no file of ours, which the failure that led here tells.
  }
}

/**
 * Gives what root has made to whom the folder around it belongs: whoever runs a command as root has a server that does not,
 * and that must be able to go on with it. Of a link, that user gets the link and not what it leads to.
 */
export function giveToOwner(place: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(path.dirname(place));
  if (uid !== 0) lchownSync(place, uid, gid);
}

/** Makes the names in a folder durable. */
function flushFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

export function readState(stateDir: string, name: string): string | undefined {
  try {
    return readFileSync(path.join(stateDir, name), 'utf8');
  } catch {
    return undefined;
  }
}

export function removeState(stateDir: string, name: string): void {
  rmSync(path.join(stateDir, name), { force: true });
}

function lockFiles(stateDir: string, storage: Config['storage']): readonly string[] {
  const own = path.join(stateDir, stateFiles.lock);
  if (storage.driver !== 'sqlite' || path.dirname(storage.sqlite.path) === stateDir) return [own];
  return [own, `${storage.sqlite.path}.lock`];
}

const SQLITE_BUSY = 5;

/**
 * An exclusive transaction on a file that holds nothing: the one lock of node:sqlite that the kernel takes back when the
 * process dies, even by SIGKILL.
 */
export function lockFile(file: string): DatabaseSync | undefined {
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    db = new DatabaseSync(file, { timeout: 0 });
    giveToOwner(file);
    db.exec('pragma journal_mode = memory; begin exclusive');
    return db;
  } catch (cause) {
    db?.close();
    if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw unusable(file, cause);
  }
}

function unusable(place: string, cause: unknown): Failure {
  if (meansFull((cause as { code?: unknown }).code)) {
    return new Failure('unavailable', `There is no room left for the state of the server in ${place}.`, {
      detail: String(cause),
      hint: 'Make room on that disk, then try again. Nothing that was stored is lost.',
      cause,
    });
  }
  return new Failure('configuration', `The server cannot keep its state in ${place}.`, {
    detail: cause instanceof Error ? cause.message : String(cause),
    hint: 'Choose a folder that this user may write to, on a local disk (AUTHSERVER_STATE_DIR).',
    cause,
  });
}
